"""Traced parts: what they may return, what is refused and why, and the names of their axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf
from keras import layers, ops
from support import assert_converts, model_of, normal, onnx_answers, randomise

import kexport
from kexport import lint, targets
from kexport.conversion import convert_model, tf2onnx_run, traced_graph
from kexport.errors import UnsupportedModel


class Own(layers.Layer):
    """A layer of one's own: a function of a tensor and of a weight of its length."""

    def __init__(self, function: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight(shape=(1, shape[-1]), name="w", initializer="ones")

    def call(self, x: Any) -> Any:
        return self.function(x, self.w)


class Declared(Own):
    """A layer that says that it returns what it takes."""

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Stuck(layers.Layer):
    """A layer whose call fails, and that declares what it would return."""

    def call(self, x: Any) -> Any:
        return no_such_module.f(x)  # type: ignore[name-defined] # noqa: F821

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


PARTS: dict[str, Callable[[Any, Any], Any]] = {
    "a constant beside a tensor": lambda x, w: (ops.ones((3,)), x * w),
    "a weight": lambda x, w: (w, x * w),
    "its input": lambda x, w: (x, ops.sin(x)),
    "one tensor twice": lambda x, w: (lambda y: (y, y))(ops.sin(x)),
    "a number": lambda x, w: ops.sum(ops.sin(x)),
    "whole numbers and truth": lambda x, w: (ops.cast(x * 9, "int32"), x > 0),
    "sizes": lambda x, w: ops.size(x[:1]),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_a_traced_part_may_return(name: str) -> None:
    assert_converts(model_of(Own(PARTS[name]), (4,)), normal(2, 4))


def test_a_constant_goes_on_into_layers_with_rules() -> None:
    x = keras.Input((4,))
    constant, y = Own(lambda x, w: (ops.ones((1, 4)), x * w))(x)
    assert_converts(keras.Model(x, layers.Add()([constant, y])), normal(2, 4))


def test_a_layer_that_declares_other_axes_than_it_has() -> None:
    values = normal(2, 5, 4)
    model = model_of(Declared(lambda x, w: ops.mean(x, axis=1)), (5, 4))
    assert_converts(model, values, expected=[values.mean(axis=1)])


def test_variables_of_tensorflow_become_constants() -> None:
    held = tf.Variable([2.0, 3.0])
    assert_converts(model_of(Own(lambda x, w: x * held), (2,)), normal(3, 2))


class Step(layers.Layer):
    """A cell of one's own."""

    state_size = output_size = 3

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x: Any, states: Any) -> Any:
        y = ops.tanh(ops.matmul(x, self.kernel) + states[0])
        return y, [y]


NAMED: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "attention": (lambda x: layers.MultiHeadAttention(2, 2)(x, x), ["batch", "time", 4]),
    "roll": (lambda x: ops.roll(x, 1, axis=1), ["batch", "time", 4]),
    "stack": (lambda x: ops.stack([x, x], axis=1), ["batch", 2, "time", 4]),
    "another length": (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0))), ["batch", None, 4]),
    "own cell": (lambda x: layers.RNN(Step(), return_sequences=True)(x), ["batch", "time", 3]),
}


@pytest.mark.parametrize("name", NAMED)
def test_open_axes_keep_their_names(name: str) -> None:
    function, expected = NAMED[name]
    x = keras.Input((None, 4))
    converted = assert_converts(randomise(keras.Model(x, function(x))), normal(2, 5, 4))
    (output,) = converted.model.graph.outputs
    assert output.shape is not None
    assert [dim if isinstance(dim, int) else dim.value for dim in output.shape] == expected


@pytest.mark.parametrize("size", [(14, 10), (21, 15), (7, 15), (7, 5)])
def test_nearest_pixels_that_tensorrt_reads(size: tuple[int, int]) -> None:
    model = model_of(layers.Lambda(lambda t: tf.image.resize(t, size, "nearest")), (7, 5, 2))
    assert_converts(model, normal(2, 7, 5, 2))
    resized = convert_model(model).model
    assert [node.op_type for node in resized.graph].count("Resize") == 1
    resized.graph.inputs[0].shape = ir.Shape((1, 7, 5, 2))
    assert not [one for one in lint.find(resized, targets.place("trt")) if one.rule == "attribute"]


def test_resize_to_computed_sizes() -> None:
    double = layers.Lambda(lambda t: tf.image.resize(t, tf.shape(t)[1:3] * 2))
    assert_converts(model_of(double, (None, None, 3)), normal(1, 4, 5, 3))


def test_attention_over_two_axes_takes_no_search_for_an_einsum() -> None:
    """tf2onnx would try each of the 40,320 orders of its letters."""
    x = keras.Input((3, 4, 8))
    model = randomise(keras.Model(x, layers.MultiHeadAttention(2, 2)(x, x)))
    converted = assert_converts(model, normal(2, 3, 4, 8))
    assert "Einsum" in {node.op_type for node in converted.model.graph}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size", [6, None])
def test_patches_of_tensorflow(padding: str, size: int | None) -> None:
    window: dict[str, Any] = {"sizes": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "rates": [1, 1, 1, 1]}
    layer = layers.Lambda(lambda t: tf.image.extract_patches(t, padding=padding, **window))
    assert_converts(model_of(layer, (size, size, 3)), normal(2, 6, 6, 3))


REFUSED: dict[str, tuple[Any, str]] = {
    "error": (Stuck(), "name 'no_such_module' is not defined"),
    "random": (Own(lambda x, w: x + keras.random.normal(ops.shape(x), seed=1)), "draws random"),
    "seed": (Own(lambda x, w: x + keras.random.normal((1,))), "stateful or random"),
    "unknown": (Own(lambda x, w: tf.math.digamma(x)), "no ONNX for .* 'Digamma'"),
    "state": (
        Own(lambda x, w: w.assign(w + 1) + x),
        r"stateful: it reads its variable 'own_?\d*/w'",
    ),
}


FROM_TENSORFLOW = "I0000 "
"""How TensorFlow 2.19 begins lines from C++ that no setting of Python keeps back."""


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    layer, reason = REFUSED[name]
    model = model_of(layer, (4,))
    capfd.readouterr()
    with pytest.raises(UnsupportedModel, match=rf"layer '{layer.name}' \(.*{reason}") as caught:
        convert_model(model)
    hint = {"random": "the mean of a sampling layer", "seed": "the mean of a sampling layer"}
    assert hint.get(name, "") in str(caught.value.hint or pytest.fail("it has no hint"))
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith(FROM_TENSORFLOW)] == []


def test_a_handler_of_tf2onnx_that_fails_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """tf2onnx may have renamed the node by then, so that it passes for one of ONNX."""

    def fails(context: Any, node: Any, *rest: Any) -> None:
        node.type = "Sinh"
        raise TypeError("object is not subscriptable")

    monkeypatch.setitem(tf2onnx_run.HANDLERS, "Sinh", fails)
    with pytest.raises(UnsupportedModel, match=r"failed at .* 'Sinh' .*: object is not subscript"):
        convert_model(model_of(Own(lambda x, w: ops.sinh(x)), (4,)))


def test_another_backend_of_keras_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(Own(lambda x, w: ops.sin(x)), (4,))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UnsupportedModel, match="only TensorFlow can trace it; Keras runs on jax"):
        convert_model(model)


def test_operations_are_called_by_their_name() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, ops.logdet(ops.reshape(x, (-1, 2, 2))))
    with pytest.raises(UnsupportedModel, match=r"operation 'log_?det.*' \(keras.ops.logdet\)"):
        convert_model(model)


def test_a_graph_that_onnx_runtime_does_not_load_is_refused(tmp_path: Path) -> None:
    model = model_of(layers.ReLU(name="rectified"), (4,), dtype="int64")
    with pytest.raises(UnsupportedModel, match=r"has no Relu for the type .* 'rectified/Relu'"):
        kexport.convert(model)
    with pytest.raises(UnsupportedModel, match="'rectified/Relu'"):
        kexport.export(model, "cpu-fp32", output=tmp_path / "bundle")


def test_an_own_layer_with_a_number_as_kernel_size() -> None:
    class Numbered(layers.Layer):
        kernel_size = 3

        def call(self, x: Any) -> Any:
            return ops.sin(x) * self.kernel_size

    x = keras.Input((5, 5, 3))
    model = randomise(keras.Model(x, Numbered()(layers.Conv2D(2, 3)(x))))
    assert_converts(model, normal(2, 5, 5, 3))


def test_a_single_number_for_a_batch_is_refused_by_export(tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, ops.quantile(x, 0.3))
    assert np.isfinite(float(model(normal(2, 4))))
    with pytest.raises(UnsupportedModel, match="a single number for the whole batch"):
        kexport.export(model, "cpu-fp32", output=tmp_path / "bundle")


@pytest.mark.parametrize("own", [True, False], ids=["layer", "operation"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 3)], ids=str)
def test_a_bias_of_the_second_axis(shape: tuple[int, ...], own: bool) -> None:
    """Keras adds it by BiasAdd in NCHW, or to the last axis where that has its length too."""
    bias, x = normal(3, 1, 1), keras.Input(shape)
    y = layers.Lambda(lambda x: ops.add(x, bias))(x) if own else ops.add(x, bias)
    assert_converts(keras.Model(x, y), normal(2, *shape))


def test_an_einsum_with_an_ellipsis_and_a_bias_before_it() -> None:
    layer = layers.EinsumDense("bc...,cde->bde...", output_shape=(3, 4), bias_axes="d")
    assert_converts(randomise(model_of(layer, (1, 2))), normal(2, 1, 2))


def test_counts_with_weights() -> None:
    x, weights = keras.Input((4,), dtype="int32"), keras.Input((4,))
    counted = layers.CategoryEncoding(5, output_mode="count")(x, count_weights=weights)
    numbers = np.int32([[0, 1, 1, 4], [2, 2, 2, 3]])
    assert_converts(keras.Model([x, weights], counted), numbers, normal(2, 4))


@pytest.mark.parametrize(
    "layer",
    [
        layers.CategoryEncoding(5, output_mode="one_hot", sparse=True),
        layers.Discretization([1, 2], output_mode="one_hot", sparse=True),
        layers.IntegerLookup(vocabulary=[1, 2], output_mode="one_hot", sparse=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_sparse_outputs_are_refused(layer: Any) -> None:
    with pytest.raises(UnsupportedModel, match=r"sparse=True"):
        convert_model(model_of(layer, (1,), dtype="int64"))


def test_a_sparse_tensor_of_an_own_layer_is_refused() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, layers.Lambda(tf.sparse.from_dense, output_shape=(3,))(x))
    with pytest.raises(UnsupportedModel, match="sparse or ragged"):
        convert_model(model)


def test_other_outputs_than_declared_are_refused() -> None:
    """Keras declares one output for images with boxes, and returns a dictionary."""
    image, boxes = keras.Input((10, 8, 3)), keras.Input((2, 4))
    labels = keras.Input((2,), dtype="int32")
    layer = layers.Resizing(4, 4, bounding_box_format="xyxy", data_format="channels_last")
    given = {"images": image, "bounding_boxes": {"boxes": boxes, "labels": labels}}
    model = keras.Model([image, boxes, labels], layer(given))
    with pytest.raises(UnsupportedModel, match="declares 1 outputs to Keras, and its call returns"):
        convert_model(model)


def test_a_number_as_an_input() -> None:
    x = keras.Input(batch_shape=())
    model = keras.Model(x, layers.Rescaling(2.0, 1.0)(x))
    proto = kexport.convert(model)
    (y,) = onnx_answers(proto, [np.array(3, np.float32)])
    assert y == np.float32(7)


@keras.saving.register_keras_serializable("test_traced_parts")
class NormalisedConv(keras.Layer):
    """A convolution, then an RMS normalisation of its channels."""

    def build(self, shape: Any) -> None:
        self.conv = layers.Conv2D(6, 1)
        self.conv.build(shape)

    def call(self, x: Any) -> Any:
        y = self.conv(x)
        return y * keras.ops.rsqrt(keras.ops.mean(keras.ops.square(y), -1, keepdims=True) + 1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2)])
def test_the_channels_of_one_pixel(size: tuple[int, int]) -> None:
    """tf2onnx wrote a Transpose across the square as a Reshape to another shape."""
    x = keras.Input((*size, 4))
    assert_converts(keras.Model(x, NormalisedConv()(x)), normal(3, *size, 4))


def test_a_shape_that_contradicts_tensorflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ir.Shape(("batch", 1, 6, 1))
    monkeypatch.setattr(traced_graph, "inferred_shapes", lambda traced, sources: [other])
    x = keras.Input((1, 1, 4))
    with pytest.raises(UnsupportedModel, match=r"shape .* x 1 x 1 x 6, and TensorFlow batch x 1"):
        convert_model(keras.Model(x, NormalisedConv()(x)))


def test_recorded_shapes_are_those_of_the_values() -> None:
    """Passes trust them; tf2onnx leaves those between moved Transposes as they were."""
    x = keras.Input((2, 3, 4))
    converted = convert_model(keras.Model(x, NormalisedConv()(x))).model
    (last,) = converted.graph.outputs
    inner = [y for node in converted.graph for y in node.outputs if y is not last]
    recorded = [y.shape for y in inner]
    converted.graph.outputs.extend(inner)
    found = onnx_answers(converted, [normal(5, 2, 3, 4)])[1:]
    for shape, value in zip(recorded, found, strict=True):
        assert shape is not None
        assert [5 if isinstance(dim, ir.SymbolicDim) else dim for dim in shape] == [*value.shape]
