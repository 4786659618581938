"""Layers without a rule go through tf2onnx, and no others."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import assert_converts, model_of, normal, operators, randomise, simplified, snapshot

from kexport.conversion import convert_model, tf2onnx_fallback
from kexport.errors import UnsupportedModel


def like(x: Any) -> Any:
    return keras.KerasTensor(x.shape, x.dtype)


class Attention(layers.Layer):
    """A layer of one's own, with weights, in keras.ops."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.query = self.add_weight(shape=(shape[-1], shape[-1]), name="query")
        self.bias = self.add_weight(shape=(shape[-1],), name="bias")

    def call(self, x: Any) -> Any:
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        return x * ops.sigmoid(ops.matmul(mean, self.query) + self.bias) + ops.max(x)


class Everything(keras.Model):
    """A subclassed model: grouped convolution, given statistics, gelu by Erfc, batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
        self.scale.build((None, None, None, 3))
        self.stem = layers.Conv2D(6, 3, padding="same", activation="gelu")
        self.grouped = layers.Conv2D(6, 3, groups=3, strides=2, padding="same")
        self.norm = layers.BatchNormalization()
        self.top = layers.Dense(4, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        y = self.norm(self.grouped(self.stem(self.scale(x))), training=training)
        return self.top(ops.mean(ops.gelu(y, approximate=False), axis=(1, 2)))


def test_a_custom_layer_in_the_middle_of_a_functional_model() -> None:
    x = keras.Input((8, 8, 3))
    y = Attention(name="attention")(layers.Conv2D(4, 3, activation="relu")(x))
    model = randomise(keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y))))
    converted = assert_converts(model, normal(2, 8, 8, 3))
    assert converted.traced == ("attention",)
    assert {"attention/query", "attention/bias"} <= set(converted.model.graph.initializers)


def test_a_custom_layer_keeps_an_open_batch() -> None:
    model = model_of(Attention(), (5, 5, 3))
    converted = assert_converts(model, normal(3, 5, 5, 3))
    assert not isinstance(converted.model.graph.outputs[0].shape[0], int)


def test_a_subclassed_model() -> None:
    model = Everything()
    model(normal(1, 8, 8, 3))
    converted = assert_converts(randomise(model), normal(2, 8, 8, 3))
    assert converted.traced == (model.name,)
    assert len(converted.model.graph.inputs) == 1


def test_a_subclassed_model_inside_a_functional_one() -> None:
    inner = Everything()
    x = keras.Input((8, 8, 3))
    model = randomise(keras.Model(x, inner(layers.ZeroPadding2D(1)(x))))
    converted = assert_converts(model, normal(2, 8, 8, 3))
    assert converted.traced == (inner.name,)


def test_a_subclass_of_a_layer_with_a_rule_is_traced() -> None:
    class Loud(layers.Dense):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs) * 3

    converted = assert_converts(model_of(Loud(3, name="loud"), (4,)), normal(2, 4))
    assert converted.traced == ("loud",)


def test_a_layer_with_several_inputs_and_outputs() -> None:
    class Split(layers.Layer):
        def call(self, a: Any, b: Any) -> Any:
            return {"sum": ops.sin(a + b), "pair": (ops.exp(a), ops.cos(b))}

        def compute_output_spec(self, a: Any, b: Any) -> Any:
            return {"sum": like(a), "pair": (like(a), like(b))}

    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], Split()(a, b))
    assert_converts(model, normal(2, 3), normal(2, 3, seed=1))


LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (layers.Conv1DTranspose(4, 3, strides=2), (6, 3)),
    (layers.Conv2DTranspose(4, 3, strides=2, padding="same"), (5, 6, 3)),
    (layers.Conv2DTranspose(4, 3, strides=1), (5, 6, 3)),
    (layers.UpSampling1D(2), (5, 3)),
    (layers.UpSampling2D(2), (5, 6, 3)),
    (layers.UpSampling2D((2, 3), interpolation="bilinear"), (5, 6, 3)),
    (layers.Resizing(8, 9), (5, 6, 3)),
    (layers.Resizing(8, 9, interpolation="nearest"), (5, 6, 3)),
    (layers.CenterCrop(3, 4), (6, 7, 3)),
    (layers.RepeatVector(3), (4,)),
    (layers.UnitNormalization(), (5, 4)),
    (layers.GroupNormalization(groups=2), (5, 6, 4)),
    (layers.RMSNormalization(), (5, 4)),
    (layers.EinsumDense("abc,cd->abd", output_shape=(None, 6)), (5, 4)),
    (layers.TimeDistributed(layers.Dense(3)), (5, 4)),
    (layers.LSTM(3), (5, 4)),
    (layers.GRU(3, return_sequences=True), (5, 4)),
    (layers.Bidirectional(layers.LSTM(3)), (5, 4)),
    (layers.RandomFlip(), (6, 6, 3)),
    (layers.RandomRotation(0.2), (6, 6, 3)),
    (layers.RandomZoom(0.2), (6, 6, 3)),
    (layers.RandomContrast(0.2), (6, 6, 3)),
    (layers.RandomTranslation(0.2, 0.2), (6, 6, 3)),
    (layers.RandomBrightness(0.2), (6, 6, 3)),
]


@pytest.mark.parametrize(
    ("layer", "shape"), LAYERS, ids=[type(layer).__name__ for layer, _ in LAYERS]
)
def test_other_layers_of_keras(layer: Any, shape: tuple[int, ...]) -> None:
    assert_converts(model_of(layer, shape), normal(2, *shape))


@pytest.mark.parametrize("layer", [layers.Dot(axes=2), layers.Attention()])
def test_other_layers_of_two_inputs(layer: Any) -> None:
    assert_converts(model_of(layer, (5, 4), (5, 4)), normal(2, 5, 4), normal(2, 5, 4, seed=1))


def test_embedding_of_whole_numbers() -> None:
    model = model_of(layers.Embedding(10, 4), (6,), dtype="int32")
    assert_converts(model, np.arange(12).reshape(2, 6).astype(np.int32) % 10)


def test_multi_head_attention() -> None:
    x = keras.Input((5, 8))
    y = layers.MultiHeadAttention(2, 4)(x, x)
    assert_converts(randomise(keras.Model(x, y)), normal(2, 5, 8))


def test_an_elementwise_layer_between_convolutions_costs_no_transposes() -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.tanh(x) * ops.sigmoid(x)

    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3)(Mine()(layers.Conv2D(4, 3)(x)))
    model = randomise(keras.Model(x, layers.GlobalAveragePooling2D()(y)))
    assert_converts(model, normal(2, 8, 8, 3))
    assert operators(simplified(model))["Transpose"] == 1


def test_a_layer_that_tensorflow_cannot_trace_is_refused_by_name() -> None:
    class Stubborn(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.convert_to_tensor(np.asarray(x) * 2)

        def compute_output_spec(self, x: Any) -> Any:
            return like(x)

    model = model_of(Stubborn(name="stubborn"), (3,))
    with pytest.raises(UnsupportedModel, match=r"'stubborn' \(Stubborn\) has no rule") as caught:
        convert_model(model)
    assert "keras.ops" in (caught.value.hint or "")


def test_an_operation_that_onnx_lacks_is_refused_by_name() -> None:
    class Digamma(layers.Layer):
        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.math.digamma(x)

    model = model_of(Digamma(name="odd"), (3,))
    with pytest.raises(UnsupportedModel, match=r"'odd' \(Digamma\) has no rule.*'Digamma'"):
        convert_model(model)


def test_the_order_in_which_tf2onnx_writes_constants_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class WithConstants(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.cumsum((x * np.float32([2, 3, 4]) + np.float32([5, 6, 7])) / 8.0, axis=1)

    model = model_of(WithConstants(name="own"), (3,))
    translate = tf2onnx_fallback.translate

    def reversed_constants(*args: Any) -> Any:
        proto = translate(*args)
        initializers = list(proto.graph.initializer)
        assert len(initializers) > 1
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(reversed(initializers))
        return proto

    expected = snapshot(convert_model(model).model)
    monkeypatch.setattr(tf2onnx_fallback, "translate", reversed_constants)
    assert snapshot(convert_model(model).model) == expected
