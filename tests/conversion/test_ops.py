"""Operations of keras.ops in functional graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops
from support import assert_converts, model_of, normal, operators, randomise

SHAPE = (4, 5, 3)


def after(function: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> keras.Model:
    """Apply `function` to a convolution, which is stored as NCHW."""
    x = keras.Input(shape)
    return randomise(keras.Model(x, function(layers.Conv2D(3, 1)(x))))


def of(
    function: Callable[..., Any], *shapes: tuple[int, ...], dtype: str = "float32"
) -> keras.Model:
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    outputs = function(*inputs)
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)


ANY = [
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "selu",
    "log_sigmoid",
    "tanh_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "leaky_relu",
    "elu",
    "gelu",
    "softmax",
    "log_softmax",
    "square",
    "tanh",
    "abs",
    "absolute",
    "negative",
    "exp",
    "erf",
    "sign",
    "floor",
    "ceil",
    "sin",
    "cos",
]


@pytest.mark.parametrize("name", ANY)
def test_functions_of_any_number(name: str) -> None:
    assert assert_converts(after(getattr(ops, name)), normal(2, *SHAPE)).traced == ()


@pytest.mark.parametrize("name", ["sqrt", "log", "rsqrt", "reciprocal"])
def test_functions_of_positive_numbers(name: str) -> None:
    x = np.abs(normal(2, 4, 5)) + np.float32(0.1)
    assert assert_converts(of(getattr(ops, name), (4, 5)), x).traced == ()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.gelu(x, approximate=False),
        lambda x: ops.leaky_relu(x, negative_slope=0.3),
        lambda x: ops.elu(x, alpha=0.5),
        lambda x: ops.softmax(x, axis=1),
        lambda x: ops.clip(x, -0.5, 0.25),
        lambda x: x**2,
        lambda x: ops.power(ops.abs(x), 1.5),
        lambda x: ops.maximum(x, 0.25) - ops.minimum(0.5, x),
        lambda x: 2 / (1 + x * x),
        lambda x: ops.maximum(x, ops.negative(x)),
    ],
)
def test_functions_with_arguments(function: Any) -> None:
    assert assert_converts(after(function), normal(2, *SHAPE)).traced == ()


@pytest.mark.parametrize("name", ["mean", "max", "min", "sum", "prod", "amax", "amin"])
@given(
    axis=st.none() | st.lists(st.integers(1, 3), min_size=1, unique=True) | st.integers(-3, 3),
    keepdims=st.booleans(),
)
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    axis = tuple(axis) if isinstance(axis, list) else axis
    model = after(lambda x: getattr(ops, name)(x, axis=axis, keepdims=keepdims))
    assert assert_converts(model, normal(2, *SHAPE)).traced == ()


def test_squeeze_and_excite_written_in_operations_transposes_only_at_the_ends() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(ops.mean(y, axis=(1, 2), keepdims=True))
    spatial = ops.concatenate(
        [ops.mean(y, axis=-1, keepdims=True), ops.max(y, axis=-1, keepdims=True)], axis=-1
    )
    y = y * gate * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(spatial)
    converted = assert_converts(randomise(keras.Model(x, y)), normal(2, 8, 8, 3))
    assert converted.traced == ()
    assert operators(converted.model)["Transpose"] == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.reshape(x, (-1, 20, 3)),
        lambda x: ops.reshape(x, (-1, 6)),
        lambda x: ops.reshape(x, (-1,)),
        lambda x: ops.transpose(x, (0, 3, 1, 2)),
        lambda x: ops.transpose(x, (0, -1, 2, 1)),
        lambda x: ops.transpose(x),
        lambda x: ops.expand_dims(x, 1),
        lambda x: ops.expand_dims(x, -1),
        lambda x: ops.expand_dims(x, (1, 3)),
        lambda x: ops.squeeze(ops.expand_dims(x, 2), 2),
        lambda x: ops.squeeze(ops.mean(x, axis=(1, 2), keepdims=True), (1, -2)),
        lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
        lambda x: ops.concatenate([x, x * 2], axis=-1),
        lambda x: layers.Conv3D(2, 1)(ops.expand_dims(x, 1)),
    ],
)
def test_operations_on_axes(function: Any) -> None:
    assert assert_converts(after(function), normal(2, *SHAPE)).traced == ()


def test_reshape_keeps_an_open_batch() -> None:
    converted = assert_converts(of(lambda x: ops.reshape(x, (-1, 6)), (2, 3)), normal(2, 2, 3))
    graph = converted.model.graph
    (given,), (made,) = graph.inputs, graph.outputs
    assert given.shape is not None
    assert made.shape is not None
    assert given.shape[0] == made.shape[0]


def test_a_product_of_matrices() -> None:
    model = of(ops.matmul, (2, 4, 5), (2, 5, 3))
    assert_converts(model, normal(2, 2, 4, 5), normal(2, 2, 5, 3, seed=1))


@pytest.mark.parametrize("rank", [1, 3])
def test_repeat_vector(rank: int) -> None:
    assert assert_converts(model_of(layers.RepeatVector(rank), (4,)), normal(2, 4)).traced == ()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 0.5,
        lambda x: x + 1,
        lambda x: x / 2,
        lambda x: ops.mean(x, axis=-1),
        lambda x: ops.sqrt(x),
        lambda x: ops.cast(x, "float32") * x,
        lambda x: ops.clip(x, 1, 3),
    ],
)
def test_whole_numbers_are_promoted_as_in_keras(function: Any) -> None:
    model = of(function, (4,), dtype="int32")
    assert_converts(model, np.arange(8, dtype=np.int32).reshape(2, 4))


def test_operations_without_a_rule_are_traced() -> None:
    converted = assert_converts(of(lambda x: x[:, 1:3], (4, 5)), normal(2, 4, 5))
    (name,) = converted.traced
    assert name.startswith("get_item")


def _pooled(x: Any) -> Any:
    return keras.ops.max_pool(x, 2, strides=5, padding="same")


def _averaged(x: Any) -> Any:
    return keras.ops.average_pool(x, (1, 2), strides=4, padding="same")


def _convolved(x: Any) -> Any:
    return keras.ops.conv(x, normal(3, 3, 3, 2), strides=8, padding="same")


@pytest.mark.parametrize("operation", [_pooled, _averaged, _convolved])
def test_strides_beyond_the_window_on_an_open_size(operation: Any) -> None:
    x = keras.Input((None, None, 3))
    model = keras.Model(x, operation(x))
    for extents in ((32, 48), (31, 25), (5, 30)):
        assert_converts(model, normal(1, *extents, 3))
