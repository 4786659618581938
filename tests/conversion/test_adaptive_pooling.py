"""Adaptive pooling of rank 1 to 3, to fewer windows than there are elements and to more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, operators

POOLS = {
    "max": (layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D),
    "average": (
        layers.AdaptiveAveragePooling1D,
        layers.AdaptiveAveragePooling2D,
        layers.AdaptiveAveragePooling3D,
    ),
}


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_adaptive_pool(kind: str, rank: int, data: st.DataObject) -> None:
    extents = st.tuples(*[st.integers(1, 7)] * rank)
    picture, size = data.draw(extents, "extents"), data.draw(extents, "output_size")
    data_format = data.draw(st.sampled_from(["channels_last", "channels_first"]), "data_format")
    layer = POOLS[kind][rank - 1](size if rank > 1 else size[0], data_format=data_format)
    shape = (*picture, 2) if data_format == "channels_last" else (2, *picture)
    assert assert_converts(model_of(layer, shape), normal(2, *shape)).traced == ()


def test_windows_by_hand() -> None:
    x = np.arange(7, dtype=np.float32).reshape(1, 7, 1)
    model = model_of(layers.AdaptiveAveragePooling1D(3), (7, 1))
    assert_converts(model, x, expected=[np.array([1, 3, 5], np.float32).reshape(1, 3, 1)])


def test_windows_that_divide_evenly_are_one_pool() -> None:
    model = model_of(layers.AdaptiveMaxPooling2D((2, 3)), (4, 9, 3))
    found = operators(assert_converts(model, normal(2, 4, 9, 3)).model)
    assert found == {"Transpose": 2, "MaxPool": 1}
