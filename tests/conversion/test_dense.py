"""Dense layers."""

from __future__ import annotations

import keras
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
