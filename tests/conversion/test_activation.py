"""Activation functions, and the layers that only apply one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, randomise

from kexport.conversion.rules.activation import ALONG_LAST_AXIS, ELEMENTWISE

NAMES = sorted(
    name
    for name in dir(keras.activations)
    if name[0].islower()
    and name not in ("get", "serialize", "deserialize", "applications")
    and callable(getattr(keras.activations, name))
)
VALUES = np.concatenate(
    [np.linspace(-6, 6, 49), [-100, -20, -3, -1, -0.5, 0, 0.5, 1, 3, 20, 100]]
).astype(np.float32)[None]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("glu", "threshold")])
def test_every_activation_by_name(name: str) -> None:
    model = model_of(layers.Activation(name), (VALUES.size,))
    converted = assert_converts(model, VALUES)
    known = {*ELEMENTWISE, *ALONG_LAST_AXIS, "linear", "swish", "hard_swish"}
    assert bool(converted.traced) == (name not in known)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "gelu", "silu", "relu6"])
def test_activation_of_a_convolution(name: str) -> None:
    layer = layers.Conv2D(4, 3, activation=name)
    assert_converts(model_of(layer, (5, 6, 3)), normal(2, 5, 6, 3))


def test_a_function_of_the_users_own_is_traced() -> None:
    def mine(x: Any) -> Any:
        return keras.ops.tanh(x) * 2 + keras.ops.maximum(x, 0.25)

    x = keras.Input((5, 5, 3))
    model = randomise(keras.Model(x, layers.Conv2D(4, 3, activation=mine)(x)))
    converted = assert_converts(model, normal(2, 5, 5, 3))
    assert converted.traced == ("mine",)


def test_a_function_named_like_one_of_keras_is_traced() -> None:
    def relu(x: Any) -> Any:
        return keras.ops.maximum(x, -1.0)

    def linear(x: Any) -> Any:
        return 3 * x

    for function in (relu, linear):
        assert_converts(model_of(layers.Activation(function), (VALUES.size,)), VALUES)


@given(
    top=st.none() | st.sampled_from([0.5, 1.0, 6.0]),
    slope=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    threshold=st.sampled_from([0.0, 0.25, 1.0, 2.0]),
)
def test_relu(top: float | None, slope: float, threshold: float) -> None:
    assume(top is None or top > threshold)
    layer = layers.ReLU(max_value=top, negative_slope=slope, threshold=threshold)
    assert_converts(model_of(layer, (VALUES.size,)), VALUES)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 1.0, 2.0])
def test_leaky_relu(slope: float) -> None:
    assert_converts(model_of(layers.LeakyReLU(negative_slope=slope), (VALUES.size,)), VALUES)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 2.0])
def test_elu(alpha: float) -> None:
    assert_converts(model_of(layers.ELU(alpha=alpha), (VALUES.size,)), VALUES)


@pytest.mark.parametrize("shared", [None, [1], [2], [1, 2], [3], [1, 2, 3]])
@pytest.mark.parametrize("after_a_convolution", [False, True])
def test_prelu(shared: list[int] | None, after_a_convolution: bool) -> None:
    x = keras.Input((4, 5, 3))
    before = layers.Conv2D(3, 1)(x) if after_a_convolution else x
    model = randomise(keras.Model(x, layers.PReLU(shared_axes=shared)(before)))
    assert_converts(model, normal(2, 4, 5, 3))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3, -2])
@pytest.mark.parametrize("after_a_convolution", [False, True])
def test_softmax(axis: int, after_a_convolution: bool) -> None:
    x = keras.Input((4, 5, 3))
    before = layers.Conv2D(3, 1)(x) if after_a_convolution else x
    assert_converts(
        randomise(keras.Model(x, layers.Softmax(axis=axis)(before))), normal(2, 4, 5, 3)
    )


@pytest.mark.parametrize("axes", [(1, 2), (-1, 1), (3,)])
def test_softmax_over_several_axes(axes: tuple[int, ...]) -> None:
    x = keras.Input((4, 5, 3))
    model = randomise(keras.Model(x, layers.Softmax(axis=axes)(layers.Conv2D(3, 1)(x))))
    converted = assert_converts(model, 100 * normal(2, 4, 5, 3))
    assert not converted.traced
