"""Helpers of many tests: small models, graphs, and the outputs of Keras and ONNX Runtime."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from phases import simplify

from kexport.calibration.statistics.histogram import BINS, Histogram, Range, bin_indices
from kexport.conversion import Converted, convert_model
from kexport.graph.shapes import infer_outputs
from kexport.passes import pipeline
from kexport.source import random_weights
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images

Array = np.ndarray[Any, Any]
FLOAT = ir.DataType.FLOAT


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return np.random.default_rng(seed).normal(size=shape, scale=scale).astype(np.float32)


def randomise(model: keras.Model, seed: int = 1) -> keras.Model:
    """Draw weights of usual size, with no bias zero and no scale one; variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if not np.issubdtype(np.dtype(variable.dtype), np.floating):
            continue
        shape = tuple(variable.shape)
        if "variance" in variable.name or variable.name == "gamma":
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            variable.assign(rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[:-1]))), shape))
    return model


def model_of(layer: Any, *shapes: tuple[int | None, ...], dtype: str = "float32") -> keras.Model:
    """Build a functional model of `layer` alone; several inputs are given as a list."""
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    single = len(inputs) == 1
    return randomise(
        keras.Model(inputs[0] if single else inputs, layer(*inputs if single else [inputs]))
    )


class Tokens(keras.layers.Layer):
    """Embeds ids and their places: a layer whose own graph Keras does not record."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = keras.layers.Embedding(50, 4), keras.layers.Embedding(7, 4)

    def call(self, ids: Any) -> Any:
        return self.token(ids) + self.place(keras.ops.arange(7))


def keras_answers(model: keras.Model, inputs: Sequence[Array]) -> list[Array]:
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    return [np.asarray(y) for y in keras.tree.flatten(model(given, training=False))]


def onnx_answers(
    model: ir.Model | onnx.ModelProto, inputs: Sequence[Array], *, optimise: bool = False
) -> list[Array]:
    """Run a model in ONNX Runtime, with its graph optimizations only if `optimise` is set."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def far(candidate: Array, reference: Array) -> float:
    """Return the largest difference, relative to the largest reference value if that is over 1."""
    assert candidate.shape == reference.shape
    assert candidate.dtype == reference.dtype
    if not reference.size:
        return 0.0
    finite = np.isfinite(reference)
    np.testing.assert_array_equal(candidate[~finite], reference[~finite])
    wanted = reference[finite].astype(np.float64)
    gap = np.abs(candidate[finite] - wanted).max(initial=0.0)
    return float(gap / np.abs(wanted).max(initial=1.0))


def assert_near(given: Sequence[Array], wanted: Sequence[Array], tolerance: float = 1e-5) -> None:
    assert len(given) == len(wanted)
    for candidate, reference in zip(given, wanted, strict=True):
        assert far(candidate, reference) <= tolerance


def assert_converts(
    model: keras.Model,
    *inputs: Array,
    expected: Sequence[Array] | None = None,
    tolerance: float = 1e-5,
) -> Converted:
    """Convert, and compare the graph with Keras, before and after simplification.

    The graph must also pass ONNX's checker and have the shapes that it declares.
    """
    wanted = keras_answers(model, inputs) if expected is None else expected
    converted = convert_model(model)
    onnx.checker.check_model(ir.to_proto(converted.model), full_check=True)
    given = onnx_answers(converted.model, inputs)
    assert_near(given, wanted, tolerance)
    for value, answer in zip(converted.model.graph.outputs, given, strict=True):
        assert value.shape is not None
        declared = [dim if isinstance(dim, int) else None for dim in value.shape]
        assert len(declared) == answer.ndim
        assert all(dim in (None, size) for dim, size in zip(declared, answer.shape, strict=True))
    simple = pipeline.run(converted.model, simplify()).model
    assert_near(onnx_answers(simple, inputs, optimise=True), wanted, tolerance)
    return converted


def simplified(model: keras.Model) -> ir.Model:
    return pipeline.run(convert_model(model).model, simplify()).model


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def snapshot(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)


class Sketch:
    """A small ONNX graph written by hand, for passes on graphs that conversion does not give."""

    def __init__(self, opset: int = 20) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="sketch")

    def input(self, name: str, shape: Sequence[int | str], dtype: ir.DataType = FLOAT) -> ir.Value:
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self.graph.inputs.append(value)
        return value

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> ir.Value:
        tensor = ir.Tensor(np.asarray(array, dtype), name=name)
        value = ir.Value(
            name=name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        return value

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        count = sum(node.op_type == op_type for node in self.graph)
        name = f"{op_type}_{count}"
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = name
        infer_outputs(node, self.graph.opset_imports[""])
        self.graph.append(node)
        return node.outputs[0]

    def model(self, *outputs: ir.Value) -> ir.Model:
        self.graph.outputs.extend(outputs)
        return ir.Model(self.graph, ir_version=9)


def assert_pure_and_equal(
    change: Any, model: ir.Model, feeds: Mapping[str, Array], tolerance: float = 1e-5
) -> ir.Model:
    """Run a pass; its input must not change, nor the outputs that ONNX Runtime computes."""
    before = snapshot(model)
    answers = onnx_answers(model, list(feeds.values()))
    changed = change(model)
    assert snapshot(model) == before
    assert [value.name for value in changed.graph.inputs] == list(feeds)
    names = [value.name for value in model.graph.outputs]
    assert [value.name for value in changed.graph.outputs] == names
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)
    assert_near(onnx_answers(changed, list(feeds.values())), answers, tolerance)
    return changed


def small_classifier(size: int = 24, classes: int = 10) -> keras.Model:
    """Build an image classifier with uneven padding, batch norms and a softmax."""
    x = keras.Input((size, size, 3), name="pixels")
    y = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization(name="stem_bn")(y))
    y = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name="depthwise_bn")(y))
    y = keras.layers.Conv2D(16, 2, strides=2, padding="valid", name="reduce")(y)
    y = keras.layers.GlobalAveragePooling2D(name="pool")(y)
    y = keras.layers.Dense(classes, activation="softmax", name="top")(y)
    return keras.Model(x, y, name="small")


def healthy(model: keras.Model, mode: str = "tf") -> keras.Model:
    """Draw random weights with which the answers differ between images."""
    _, height, width, channels = model.input_shape
    drawn = draw_images(8, height, width, channels)
    random_weights.randomise(model, 0, prepare(drawn, mode))
    return model


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limit files to `size` bytes, so that a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def digits_module(root: Path) -> Any:
    """Import examples/digits/digits.py."""
    return module_at(root / "examples" / "digits" / "digits.py")


def module_at(path: Path) -> Any:
    """Import a script as a module."""
    spec = util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


def count(values: Array, extent: Range) -> Histogram:
    """Make the histogram of float32 `values` of any shape over a range that is not empty."""
    counts = np.bincount(bin_indices(values.reshape(-1), extent), minlength=BINS)
    return Histogram(extent, counts, values.size - int(np.count_nonzero(values)))
