"""The number of ordinary samples: many of small ones, and few of large ones."""

from __future__ import annotations

import keras
import pytest

from kexport.parity import samples
from kexport.parity.samples.count import BYTES, MOST, count_of


@pytest.mark.parametrize(
    ("each", "count"), [(0, MOST), (4, MOST), (BYTES // 20, 20), (BYTES, 4), (BYTES * 100, 4)]
)
def test_they_have_a_size_together(each: int, count: int) -> None:
    assert count_of(each, 4) == count


@pytest.mark.parametrize(
    ("shape", "count"), [((6,), 32), ((64, 64), 8), ((200, 500), 4), ((28, 28, 1), 32)]
)
def test_of_models(shape: tuple[int, ...], count: int) -> None:
    x = keras.Input(shape)
    assert samples.make(keras.Model(x, x * 2), "none", 0).ordinary == count


def test_all_inputs_count_together() -> None:
    x = [keras.Input((64, 64)), keras.Input((64, 64))]
    assert samples.make(keras.Model(x, x[0] + x[1]), "none", 0).ordinary == 4
