"""Normalisation layers at inference."""

from __future__ import annotations

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, operators, randomise

EXTENTS = (3, 4, 5, 2)
NARROW = 5e-5
"""Over two nearly equal elements either side loses digits: x - mean cancels."""


@given(data=st.data())
def test_batch_normalization(data: st.DataObject) -> None:
    rank = data.draw(st.integers(2, 5), "rank")
    layer = layers.BatchNormalization(
        axis=data.draw(st.integers(1, rank - 1) | st.just(-1), "axis"),
        epsilon=data.draw(st.sampled_from([1e-3, 1e-5, 0.1]), "epsilon"),
        center=data.draw(st.booleans(), "center"),
        scale=data.draw(st.booleans(), "scale"),
    )
    shape = EXTENTS[: rank - 1]
    assert_converts(model_of(layer, shape), normal(2, *shape, seed=4))


@given(data=st.data())
def test_layer_normalization(data: st.DataObject) -> None:
    rank = data.draw(st.integers(2, 5), "rank")
    axes = data.draw(
        st.lists(st.integers(1, rank - 1), min_size=1, unique=True).map(sorted) | st.just(-1),
        "axis",
    )
    layer = layers.LayerNormalization(
        axis=axes,
        epsilon=data.draw(st.sampled_from([1e-3, 1e-6]), "epsilon"),
        center=data.draw(st.booleans(), "center"),
        scale=data.draw(st.booleans(), "scale"),
    )
    shape = EXTENTS[: rank - 1]
    assert_converts(model_of(layer, shape), normal(2, *shape, seed=4), tolerance=NARROW)


@pytest.mark.parametrize("axis", [-1, 1, [1, 2], [1, 2, 3]])
def test_layer_normalization_behind_a_convolution(axis: int | list[int]) -> None:
    x = keras.Input((6, 6, 3))
    y = layers.LayerNormalization(axis=axis)(layers.Conv2D(4, 3)(x))
    assert_converts(randomise(keras.Model(x, y)), normal(2, 6, 6, 3))


def test_layer_normalization_over_the_last_axes_is_one_node() -> None:
    converted = assert_converts(model_of(layers.LayerNormalization(), (5, 4)), normal(2, 5, 4))
    assert operators(converted.model) == {"LayerNormalization": 1}
