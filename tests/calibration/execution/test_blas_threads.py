"""single_blas_thread: one thread within, and as many as before after it."""

import ctypes

import numpy as np
import numpy.linalg._umath_linalg as numpy_linalg
import pytest

from kexport.calibration.execution.blas_threads import single_blas_thread


def test_the_number_of_threads_is_restored() -> None:
    count = getattr(ctypes.CDLL(numpy_linalg.__file__), "scipy_openblas_get_num_threads64_", None)
    if count is None:
        pytest.skip("NumPy has another library than OpenBLAS here")
    before = count()

    def fail_on_one_thread() -> None:
        with single_blas_thread():
            assert count() == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail_on_one_thread()
    assert count() == before


def test_results_are_those_of_numpy() -> None:
    rows = np.arange(12.0).reshape(3, 4)
    with single_blas_thread():
        found = rows @ rows.T
    assert np.array_equal(found, np.einsum("ik,jk->ij", rows, rows))
