"""TimeDistributed is its inner layer on the steps of all samples."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from masked_inputs import FEATURES, STEPS, functional, sequences, sequential
from support import assert_converts, model_of, normal, operators, randomise, simplified

from kexport.conversion import convert_model
from kexport.errors import UnsupportedModel


def cnn() -> keras.Model:
    inner = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 9, 3)), *inner, layers.Dense(2)])


def branches() -> keras.Model:
    x = keras.Input((6, 5, 2))
    y = layers.Concatenate()([layers.Conv2D(2, 2)(x), layers.MaxPooling2D(2, 1)(x)])
    return keras.Model(x, ops.relu(y))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.Dense(3, activation="softmax"), (5,)),
        (lambda: layers.Conv2D(2, 3, strides=2, padding="same"), (7, 6, 3)),
        (lambda: layers.Flatten(), (3, 2)),
        (lambda: layers.Reshape((2, 3)), (6,)),
        (lambda: layers.Bidirectional(layers.GRU(3)), (5, 4)),
        (lambda: layers.LSTM(3, return_sequences=True), (5, 4)),
        (lambda: layers.BatchNormalization(), (4,)),
        (lambda: layers.TimeDistributed(layers.Dense(3)), (4, 5)),
        (cnn, (8, 9, 3)),
        (branches, (6, 5, 2)),
    ],
)
@pytest.mark.parametrize("steps", [4, None])
def test_inner_layers(make: Any, shape: tuple[int, ...], steps: int | None) -> None:
    model = model_of(layers.TimeDistributed(make()), (steps, *shape))
    converted = assert_converts(model, normal(2, 4, *shape))
    assert not converted.traced
    assert_converts(model, normal(3, 4 if steps else 6, *shape))
    assert not {"Loop", "Scan"} & set(operators(converted.model))


def test_images_of_any_size() -> None:
    model = model_of(layers.TimeDistributed(layers.Conv2D(2, 3)), (None, None, None, 3))
    assert_converts(model, normal(2, 3, 7, 6, 3))


def test_open_axes_keep_their_names() -> None:
    model = model_of(layers.TimeDistributed(layers.Dense(2)), (None, 4))
    shape = convert_model(model).model.graph.outputs[0].shape
    assert [getattr(dim, "value", dim) for dim in shape] == ["batch", "time", 2]


def test_a_convolution_is_there_once() -> None:
    counted = operators(simplified(model_of(layers.TimeDistributed(cnn()), (10, 8, 9, 3))))
    assert counted["Conv"] == 1
    assert sum(counted.values()) <= 8


def test_a_mask_goes_through_to_the_layer_behind() -> None:
    model = sequential(layers.TimeDistributed(layers.Dense(3)), layers.LSTM(2))
    assert_converts(model, sequences())


def test_the_inner_layer_gets_the_mask_of_its_step() -> None:
    """Keras gives [batch, steps] of a mask [batch, time, steps] to the inner layer."""
    x = keras.Input((3, STEPS, FEATURES))
    y = layers.TimeDistributed(layers.LSTM(2))(layers.Masking()(x))
    values = np.stack([sequences(seed) for seed in range(3)], axis=1)
    assert_converts(randomise(keras.Model(x, y)), values)


def test_an_inner_layer_of_ones_own_is_exact_even_if_it_mixes_samples() -> None:
    class Centred(layers.Layer):
        def call(self, x: Any) -> Any:
            return x - ops.mean(x, axis=0, keepdims=True)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    model = functional(lambda x: layers.TimeDistributed(Centred())(x))
    assert_converts(model, sequences())


def test_an_operation_along_the_batch_is_not_flattened() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Softmax(axis=0)])
    assert_converts(model_of(layers.TimeDistributed(inner), (3, 4)), normal(2, 3, 4))


def inner(function: Any) -> keras.Model:
    x = keras.Input((3, 4))
    return keras.Model(x, function(x))


@pytest.mark.parametrize(
    ("make", "shape", "mixes"),
    [
        (lambda: layers.Softmax(axis=-2), (4,), True),
        (lambda: layers.Softmax(axis=-2), (3, 4), False),
        (lambda: layers.UnitNormalization(axis=-2), (4,), True),
        (lambda: layers.LayerNormalization(axis=[-2, -1]), (3, 4), False),
        (lambda: layers.TimeDistributed(layers.Softmax(axis=-2)), (3, 4), True),
        (lambda: inner(lambda x: ops.log_softmax(x, axis=-3)), (3, 4), True),
        (lambda: inner(lambda x: ops.softmax(x, axis=-2)), (3, 4), False),
        (lambda: inner(lambda x: layers.Softmax(axis=-2)(layers.Flatten()(x))), (3, 4), True),
        (lambda: inner(lambda x: layers.Concatenate(axis=-2)([x, x])), (3, 4), False),
    ],
)
def test_axes_that_count_from_the_end(make: Any, shape: tuple[int, ...], mixes: bool) -> None:
    model = model_of(layers.TimeDistributed(make()), (5, *shape))
    converted = assert_converts(model, normal(3, 5, *shape))
    assert ("Scan" in operators(converted.model)) == mixes


def test_attention_over_the_batch_is_not_flattened() -> None:
    attention = inner(lambda x: layers.MultiHeadAttention(2, 3, attention_axes=(0,))(x, x))
    assert_converts(model_of(layers.TimeDistributed(attention), (5, 3, 4)), normal(3, 5, 3, 4))


@pytest.mark.parametrize("wrap", [lambda x: x, layers.Bidirectional])
def test_stateful_layers_are_refused_by_name(wrap: Any) -> None:
    x = keras.Input(batch_shape=(2, 5, 4))
    model = keras.Model(x, wrap(layers.LSTM(3, stateful=True, name="memory"))(x))
    with pytest.raises(UnsupportedModel, match=r"'\w*memory' \(LSTM\) has stateful=True") as caught:
        convert_model(model)
    assert "initial_state" in (caught.value.hint or "")
