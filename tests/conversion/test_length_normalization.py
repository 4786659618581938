"""Layers that divide by a length, Dot, and the wrapper that does nothing at inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, randomise

SHAPE = (4, 5, 3)


def behind(layer: Any, convolution: bool) -> keras.Model:
    x = keras.Input(SHAPE)
    return randomise(keras.Model(x, layer(layers.Conv2D(3, 1)(x) if convolution else x)))


@pytest.mark.parametrize("axis", [-1, 1, 2, [1, 2], [1, -1], [1, 2, 3]])
@pytest.mark.parametrize("convolution", [False, True])
def test_unit_normalization(axis: Any, convolution: bool) -> None:
    model = behind(layers.UnitNormalization(axis=axis), convolution)
    assert assert_converts(model, normal(2, *SHAPE)).traced == ()


def test_a_vector_of_zeros_stays_zero() -> None:
    x = np.zeros((2, 4), np.float32)
    assert_converts(model_of(layers.UnitNormalization(), (4,)), x, expected=[x])


@pytest.mark.parametrize("axis", [-1, 3, [2, 3], [1, 2, 3]])
@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
@pytest.mark.parametrize("convolution", [False, True])
def test_rms_normalization(axis: Any, epsilon: float, convolution: bool) -> None:
    model = behind(layers.RMSNormalization(axis=axis, epsilon=epsilon), convolution)
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
