"""Models that give NaN or infinity themselves are refused as such, before anything is written."""

from pathlib import Path

import keras
import numpy as np
import pytest

import kexport
from kexport.errors import UnsupportedModel
from kexport.parity.finite import require_finite


def dense(kernel: float) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="last")])
    model.layers[0].set_weights([np.full((2, 2), kernel), np.zeros(2)])
    return model


def test_only_numbers_that_are_not_finite_are_refused() -> None:
    given = {"ids": np.ones(2, np.int64), "last": np.ones((2, 2), np.float32)}
    require_finite(dense(1), given)
    given["last"][0, 1] = -np.inf
    with pytest.raises(UnsupportedModel, match="output 'last' on 1 of 2 samples"):
        require_finite(dense(1), given)


def test_the_output_and_the_number_of_samples_are_named() -> None:
    given = {"a": np.ones((3, 2), np.float32), "b": np.ones((3, 2), np.float32)}
    given["b"][1:, 0] = [np.nan, np.inf]
    with pytest.raises(UnsupportedModel, match=r"output 'b' on 2 of 3 samples$") as found:
        require_finite(dense(1), given)
    assert "get_layer(NAME)" in str(found.value.hint)


def test_an_export_names_the_weight_that_is_nan(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r": its weight '.*/kernel' holds such numbers$"):
        kexport.export(dense(np.nan), "cpu-fp32", output=tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
