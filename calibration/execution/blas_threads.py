"""The threads of NumPy's linear algebra, where it is OpenBLAS, as in NumPy's wheels."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import numpy.linalg._umath_linalg as numpy_linalg

_PREFIX, _SUFFIX = "scipy_openblas_", "_num_threads64_"
"""How NumPy's wheels name the functions of their OpenBLAS."""


@contextlib.contextmanager
def single_blas_thread() -> Iterator[None]:
    """Use one thread for each call of linear algebra within the context.

    The threads of OpenBLAS wait for each other actively. Where other processes or threads take
    their cores, a factorization of a few hundred rows so takes many times as long as on one thread.
    Sums also have the same order whatever the number of cores. Without OpenBLAS nothing changes.
    """
    library = ctypes.CDLL(numpy_linalg.__file__)
    get = getattr(library, f"{_PREFIX}get{_SUFFIX}", None)
    set_ = getattr(library, f"{_PREFIX}set{_SUFFIX}", None)
    if get is None or set_ is None:
        yield
        return
    threads = get()
    set_(1)
    try:
        yield
    finally:
        set_(threads)
