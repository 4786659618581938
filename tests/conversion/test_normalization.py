"""Normalization layers at inference, and Dot."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
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
def test_layer_normalization_after_a_convolution(axis: int | list[int]) -> None:
    x = keras.Input((6, 6, 3))
    y = layers.LayerNormalization(axis=axis)(layers.Conv2D(4, 3)(x))
    assert_converts(randomise(keras.Model(x, y)), normal(2, 6, 6, 3))


def test_layer_normalization_over_the_last_axes_is_one_node() -> None:
    converted = assert_converts(model_of(layers.LayerNormalization(), (5, 4)), normal(2, 5, 4))
    assert operators(converted.model) == {"LayerNormalization": 1}


NEAR = 5e-5
"""Over few elements either side loses digits: x - mean cancels."""


@given(data=st.data())
def test_group_normalization(data: st.DataObject) -> None:
    shape = (6, 4, 2, 6)[: data.draw(st.integers(1, 4), "axes")]
    axis = data.draw(st.integers(1, len(shape)) | st.integers(-len(shape), -1), "axis")
    channels = shape[axis - 1 if axis > 0 else axis]
    layer = layers.GroupNormalization(
        groups=data.draw(
            st.sampled_from([n for n in (1, 2, 3, 4, 6) if channels % n == 0] + [-1]), "groups"
        ),
        axis=axis,
        epsilon=data.draw(st.sampled_from([1e-3, 0.1]), "epsilon"),
        center=data.draw(st.booleans(), "center"),
        scale=data.draw(st.booleans(), "scale"),
    )
    x = normal(2, *shape, seed=4)
    assert assert_converts(model_of(layer, shape), x, tolerance=NEAR).traced == ()


@pytest.mark.parametrize("groups", [1, 2, -1])
def test_an_image_of_open_size(groups: int) -> None:
    model = model_of(layers.GroupNormalization(groups), (None, None, 4))
    assert assert_converts(model, normal(2, 5, 6, 4)).traced == ()


def test_groups_of_one_channel_are_one_node() -> None:
    converted = assert_converts(
        model_of(layers.GroupNormalization(-1), (5, 6, 4)), normal(2, 5, 6, 4)
    )
    assert operators(converted.model) == {"Transpose": 2, "InstanceNormalization": 1}


SHAPE = (4, 5, 3)


def after(layer: Any, convolution: bool) -> keras.Model:
    x = keras.Input(SHAPE)
    return randomise(keras.Model(x, layer(layers.Conv2D(3, 1)(x) if convolution else x)))


@pytest.mark.parametrize("axis", [-1, 1, 2, [1, 2], [1, -1], [1, 2, 3]])
@pytest.mark.parametrize("convolution", [False, True])
def test_unit_normalization(axis: Any, convolution: bool) -> None:
    model = after(layers.UnitNormalization(axis=axis), convolution)
    assert assert_converts(model, normal(2, *SHAPE)).traced == ()


def test_a_vector_of_zeros_stays_zero() -> None:
    x = np.zeros((2, 4), np.float32)
    assert_converts(model_of(layers.UnitNormalization(), (4,)), x, expected=[x])


@pytest.mark.parametrize("axis", [-1, 3, [2, 3], [1, 2, 3]])
@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
@pytest.mark.parametrize("convolution", [False, True])
def test_rms_normalization(axis: Any, epsilon: float, convolution: bool) -> None:
    model = after(layers.RMSNormalization(axis=axis, epsilon=epsilon), convolution)
    assert assert_converts(model, normal(2, *SHAPE)).traced == ()


def test_a_scale_that_broadcasts_along_other_axes_than_its_own_is_traced() -> None:
    model = model_of(layers.RMSNormalization(axis=1, name="odd"), (4, 4))
    assert assert_converts(model, normal(2, 4, 4)).traced == ("odd",)


@given(data=st.data())
def test_dot(data: st.DataObject) -> None:
    ranks = data.draw(st.tuples(st.integers(2, 3), st.integers(2, 3)), "ranks")
    axes = [data.draw(st.integers(1, rank - 1), "axis") for rank in ranks]
    shapes = [
        tuple(
            4 if axis == chosen else size
            for axis, size in zip(range(1, rank), (3, 5), strict=False)
        )
        for rank, chosen in zip(ranks, axes, strict=True)
    ]
    layer = layers.Dot(tuple(axes), normalize=data.draw(st.booleans(), "normalize"))
    x, y = (normal(2, *shape, seed=i) for i, shape in enumerate(shapes))
    assert assert_converts(model_of(layer, *shapes), x, y).traced == ()


def test_dot_along_the_last_axis_of_both() -> None:
    assert_converts(model_of(layers.Dot(-1), (5, 4), (4,)), normal(2, 5, 4), normal(2, 4, seed=1))


def test_dot_of_convolutions() -> None:
    x = keras.Input((6, 3))
    y, z = layers.Conv1D(4, 3)(x), layers.Conv1D(4, 3)(x)
    assert_converts(randomise(keras.Model(x, layers.Dot((1, 1))([y, z]))), normal(2, 6, 3))


def test_dot_of_more_axes_is_traced() -> None:
    model = model_of(layers.Dot((3, 1), name="wide"), (2, 3, 4), (4, 5))
    assert assert_converts(model, normal(2, 2, 3, 4), normal(2, 4, 5)).traced == ("wide",)


@pytest.mark.parametrize("inner", [layers.Conv2D(4, 3, activation="relu"), layers.Dense(4)])
def test_spectral_normalization_is_the_layer_that_it_wraps(inner: Any) -> None:
    model = model_of(layers.SpectralNormalization(inner), (5, 5, 3))
    assert assert_converts(model, normal(2, 5, 5, 3)).traced == ()
