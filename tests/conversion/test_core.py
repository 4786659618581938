"""Dense layers, layers that merge tensors, and operators between tensors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, operators, randomise, simplified


@given(data=st.data())
def test_dense(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4), "shape")
    layer = layers.Dense(
        data.draw(st.integers(1, 5), "units"),
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(st.sampled_from([None, "relu", "softmax", "tanh"]), "activation"),
    )
    assert_converts(model_of(layer, tuple(shape)), normal(2, *shape))


def test_dense_on_the_map_of_a_convolution() -> None:
    x = keras.Input((6, 6, 3))
    y = layers.Dense(5, activation="softmax")(layers.Conv2D(4, 3)(x))
    assert_converts(randomise(keras.Model(x, y)), normal(2, 6, 6, 3))


@pytest.mark.parametrize("use_bias", [False, True])
def test_a_classifier_on_a_flattened_map_needs_no_transpose(use_bias: bool) -> None:
    x = keras.Input((6, 5, 3))
    y = layers.Dense(7, use_bias=use_bias)(layers.Flatten()(layers.Conv2D(4, 3)(x)))
    model = randomise(keras.Model(x, y))
    assert_converts(model, normal(2, 6, 5, 3))
    assert operators(simplified(model))["Transpose"] == 1


def test_a_layer_called_twice_has_one_kernel() -> None:
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    converted = assert_converts(randomise(keras.Model(x, shared(shared(x)))), normal(2, 4))
    assert sorted(converted.model.graph.initializers) == ["shared/bias", "shared/kernel"]


MERGE = {
    "add": layers.Add,
    "average": layers.Average,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "multiply": layers.Multiply,
}


@pytest.mark.parametrize("kind", MERGE)
@given(
    shapes=st.lists(
        st.sampled_from([(4, 1, 3), (1, 5, 3), (4, 5, 1), (4, 5, 3)]), min_size=2, max_size=4
    )
)
def test_merge_broadcasts(kind: str, shapes: list[tuple[int, ...]]) -> None:
    inputs = [normal(2, *shape, seed=i) for i, shape in enumerate(shapes)]
    assert_converts(model_of(MERGE[kind](), *shapes), *inputs)


def test_subtract() -> None:
    model = model_of(layers.Subtract(), (4, 5), (4, 5))
    assert_converts(model, normal(2, 4, 5), normal(2, 4, 5, seed=1))


@pytest.mark.parametrize("kind", MERGE)
def test_a_tensor_with_itself(kind: str) -> None:
    x = keras.Input((4,))
    assert_converts(keras.Model(x, MERGE[kind]()([x, x])), normal(2, 4))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3, -2])
@pytest.mark.parametrize("after_a_convolution", [False, True])
def test_concatenate(axis: int, after_a_convolution: bool) -> None:
    x = keras.Input((4, 5, 3))
    y = layers.Conv2D(3, 1)(x) if after_a_convolution else x * 2
    model = randomise(keras.Model(x, layers.Concatenate(axis=axis)([x, y, x])))
    assert_converts(model, normal(2, 4, 5, 3))


@pytest.mark.parametrize("kind", MERGE)
def test_a_map_of_a_convolution_with_one_number_a_channel(kind: str) -> None:
    """Squeeze and excite: [N, H, W, C] stored as NCHW beside [N, 1, 1, C]."""
    x = keras.Input((6, 6, 3))
    y = layers.Conv2D(4, 3)(x)
    gate = layers.Reshape((1, 1, 4))(layers.Dense(4)(layers.GlobalAveragePooling2D()(y)))
    model = randomise(keras.Model(x, MERGE[kind]()([y, gate])))
    assert_converts(model, normal(2, 6, 6, 3))


def test_tensors_of_different_rank() -> None:
    x, y = keras.Input((4, 5, 3)), keras.Input((3,), batch_size=1)
    model = randomise(keras.Model([x, y], layers.Conv2D(3, 1)(x) + y))
    assert_converts(model, normal(2, 4, 5, 3), normal(1, 3, seed=2))


OPERATIONS: dict[str, Any] = {
    "tensor + number": lambda x: x + 2.0,
    "number + tensor": lambda x: 2.0 + x,
    "tensor - number": lambda x: x - 0.5,
    "number - tensor": lambda x: 1.0 - x,
    "tensor * number": lambda x: x * 3,
    "tensor / number": lambda x: x / 4.0,
    "number / tensor": lambda x: 2.0 / (x * x + 1.0),
    "tensor + channels": lambda x: x + np.array([1, 2, 3, 4], np.float32),
    "tensor / tensor": lambda x: x / (x * x + 1.0),
    "power": lambda x: x**2,
    "negative": lambda x: -x,
    "relu": keras.ops.relu,
    "mean": lambda x: keras.ops.mean(x, axis=(1, 2), keepdims=True),
    "slice": lambda x: x[:, 1:3],
    "matmul": lambda x: keras.ops.matmul(x, keras.ops.transpose(x, (0, 1, 3, 2))),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("after_a_convolution", [False, True])
def test_operations_on_tensors(operation: str, after_a_convolution: bool) -> None:
    x = keras.Input((5, 6, 4))
    before = layers.Conv2D(4, 1)(x) if after_a_convolution else x
    model = randomise(keras.Model(x, OPERATIONS[operation](before)))
    assert_converts(model, normal(2, 5, 6, 4))


def test_operations_with_a_rule_are_not_traced() -> None:
    x = keras.Input((3,))
    converted = assert_converts(keras.Model(x, (x + 1) * x / 2 - x), normal(2, 3))
    assert converted.traced == ()
    assert operators(converted.model) == {"Add": 1, "Mul": 1, "Div": 1, "Sub": 1}
