"""Layers that scale pixel values to the range that a model was trained on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support import assert_converts, model_of, normal, randomise

MEAN, VARIANCE = [103.0, 116.0, 123.0], [57.0, 58.0, 1e-20]


@pytest.mark.parametrize("scale", [1.0, 1 / 255, [0.1, 0.2, 0.3]])
@pytest.mark.parametrize("offset", [0.0, -1.0, [0.5, 0.0, -0.5]])
@pytest.mark.parametrize("after_a_convolution", [False, True])
def test_rescaling(scale: Any, offset: Any, after_a_convolution: bool) -> None:
    x = keras.Input((4, 5, 3))
    before = layers.Conv2D(3, 1)(x) if after_a_convolution else x
    model = randomise(keras.Model(x, layers.Rescaling(scale, offset)(before)))
    assert_converts(model, normal(2, 4, 5, 3, scale=100))


@pytest.mark.parametrize("invert", [False, True])
def test_normalization_with_given_statistics(invert: bool) -> None:
    layer = layers.Normalization(mean=MEAN, variance=[57.0, 58.0, 59.0], invert=invert)
    assert_converts(model_of(layer, (4, 5, 3)), normal(2, 4, 5, 3, scale=100))


def test_a_zero_variance_divides_by_keras_epsilon() -> None:
    layer = layers.Normalization(mean=MEAN, variance=VARIANCE)
    assert_converts(model_of(layer, (4, 5, 3)), normal(2, 4, 5, 3, scale=100))


@pytest.mark.parametrize("axis", [-1, 1, 2, (1, 3), (2, 3), None])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_that_was_adapted(axis: Any, invert: bool) -> None:
    layer = layers.Normalization(axis=axis, invert=invert)
    layer.adapt(normal(16, 4, 5, 3, seed=7, scale=30) + np.arange(3, dtype=np.float32))
    x = keras.Input((4, 5, 3))
    assert_converts(keras.Model(x, layer(x)), normal(2, 4, 5, 3, scale=100))


def test_normalization_after_a_convolution() -> None:
    layer = layers.Normalization(mean=MEAN, variance=[1.0, 2.0, 3.0])
    x = keras.Input((4, 5, 3))
    model = randomise(keras.Model(x, layer(layers.Conv2D(3, 1)(x))))
    assert_converts(model, normal(2, 4, 5, 3, scale=100))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize(
    "layer",
    [
        layers.Rescaling(1 / 255),
        layers.Rescaling(1.0),
        layers.Normalization(mean=MEAN, variance=[57.0, 58.0, 59.0]),
    ],
    ids=lambda layer: layer.name,
)
def test_integers_are_computed_as_floats(layer: Any, dtype: str) -> None:
    given = np.arange(120, dtype=dtype).reshape(2, 4, 5, 3)
    model = model_of(layer, (4, 5, 3), dtype=dtype)
    assert_converts(randomise(keras.Model(model.input, layers.Conv2D(2, 3)(model.output))), given)
