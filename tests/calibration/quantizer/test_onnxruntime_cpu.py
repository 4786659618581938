"""Scheme for CPUs: ONNX Runtime runs chains of integer kernels, and computes the graph."""

from pathlib import Path

import keras
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from keras import layers
from phases import FINISH_INT8, prepare_int8, simplify
from support import Sketch, healthy, normal, onnx_answers, operators

from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, activation_qparams, place
from kexport.calibration.statistics.histogram import Range
from kexport.calibration.statistics.ranges import measure_ranges
from kexport.conversion import convert_model
from kexport.graph import save
from kexport.passes import pipeline
from kexport.source.synthetic_images import draw_images

SIZE = 32
FLOATS = frozenset({"Softmax"})
INTEGERS = frozenset(
    {"Clip", "Concat", "Flatten", "MaxPool", "NhwcMaxPool", "QGemm", "QLinearAdd", "Reshape"}
    | {"QLinearAveragePool", "QLinearConcat", "QLinearConv", "QLinearGlobalAveragePool"}
    | {"QLinearMul", "QLinearSigmoid", "Squeeze", "Transpose"}
)
"""Operators on 8-bit integers, in ONNX and in ONNX Runtime's own domain."""


def mobile(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build MobileNet's parts: even padding, ReLU6, depthwise, a residual add."""
    y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    y = z = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same")(y)
    y = layers.Conv2D(8, 1)(layers.ReLU(6.0)(layers.BatchNormalization()(y)))
    return layers.Add()([layers.BatchNormalization()(y), z])


def inception(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build Inception's parts: branches that are pooled and concatenated."""
    y = layers.Conv2D(8, 3, activation="relu")(x)
    branches = [
        layers.Conv2D(4, 1, activation="relu")(y),
        layers.Conv2D(4, 1, activation="relu")(layers.AveragePooling2D(3, 1, "same")(y)),
        layers.MaxPooling2D(3, 1, "same")(y),
    ]
    return layers.Conv2D(8, 1, activation="relu")(layers.Concatenate()(branches))


def preactivated(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build ResNetV2's and Xception's parts: a norm after an add, a relu beside other readers."""
    y = z = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = z = layers.Add()([layers.Conv2D(8, 3, padding="same")(y), z])
    y = layers.Conv2D(8, 3, padding="same")(layers.ReLU()(y))
    return layers.Add()([layers.MaxPooling2D(2)(y), layers.Conv2D(8, 1, strides=2)(z)])


def excited(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build EfficientNet's parts: a swish, and a gate for each channel."""
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(4, 1, activation="swish")(gate)
    return layers.Multiply()([y, layers.Conv2D(8, 1, activation="sigmoid")(gate)])


def network(body: object) -> ir.Model:
    x = keras.Input((SIZE, SIZE, 3))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 1)(body(x)))
    model = healthy(keras.Model(x, layers.Dense(5, activation="softmax")(y)))
    passes = (
        *simplify("tf", 1),
        *prepare_int8(18),
    )
    return pipeline.run(convert_model(model).model, passes).model


def quantized(model: ir.Model) -> ir.Model:
    drawn = draw_images(8, SIZE, SIZE)
    ranges = measure_ranges(model, ONNXRUNTIME_CPU.tensors(model), drawn, batch=1, method="mse")
    whole = ONNXRUNTIME_CPU.quantize(model, ranges, frozenset())
    return pipeline.run(whole, FINISH_INT8).model


def optimised(model: ir.Model, folder: Path) -> ir.Model:
    """Return the graph that ONNX Runtime runs."""
    save.save(model, folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return ir.load(folder / "optimised.onnx")


@pytest.mark.parametrize("body", [mobile, inception, preactivated, excited])
def test_every_node_except_the_softmax_runs_on_integers(body: object, tmp_path: Path) -> None:
    model = network(body)
    placed = place(model)
    weighty = {n.name for n in model.graph if n.op_type in ("Conv", "Gemm", "MatMul")}
    assert placed.weights == weighty
    whole = quantized(model)
    assert whole.graph.inputs[0].dtype == ir.DataType.UINT8
    runs = optimised(whole, tmp_path)
    assert set(operators(runs)) <= FLOATS | INTEGERS
    assert operators(runs)["QLinearConv"] == sum(n.op_type == "Conv" for n in model.graph)
    drawn = draw_images(4, SIZE, SIZE, seed=3)
    for row in range(len(drawn)):
        image = [drawn[row : row + 1]]
        exact = onnx_answers(model, image)[0]
        fused, unfused = (onnx_answers(whole, image, optimise=way)[0] for way in (True, False))
        assert np.abs(fused - unfused).max() < 0.02
        assert np.abs(fused - exact).max() < 0.1


def test_a_named_node_stays_in_float() -> None:
    model = network(mobile)
    (first, *_) = [node.name or "" for node in model.graph if node.op_type == "Conv"]
    placed = place(model, frozenset({first}))
    assert first not in placed.nodes | placed.weights
    assert not any(node == first for node, _ in placed.edges)
    whole = ONNXRUNTIME_CPU.quantize(
        model,
        measure_ranges(
            model, ONNXRUNTIME_CPU.tensors(model), draw_images(4, SIZE, SIZE), batch=1, method="mse"
        ),
        frozenset({first}),
    )
    conv = next(node for node in whole.graph if node.name == first)
    assert conv.inputs[1].const_value is not None


def test_the_outputs_of_the_model_are_not_quantized() -> None:
    s = Sketch(opset=18)
    x = s.op("Conv", s.input("x", [1, 4, 5, 5]), s.constant("w", normal(4, 4, 3, 3)))
    y = s.op("Relu", s.op("Conv", x, s.constant("v", normal(4, 4, 3, 3))))
    placed = place(s.model(y))
    assert placed.nodes == {"Conv_0"}
    assert placed.tensors(s.model()) == {"x", "Conv_0"}


def test_moved_tensors_share_parameters_and_a_clip_keeps_its_own() -> None:
    s = Sketch(opset=18)
    x = s.op("Conv", s.input("x", [1, 4, 6, 6]), s.constant("w", normal(4, 4, 1, 1)))
    pooled = s.op("MaxPool", s.op("Relu", x), kernel_shape=[1, 1])
    six = s.op("Conv", pooled, s.constant("v", normal(4, 4, 1, 1)))
    clipped = s.op("Clip", six, s.constant("zero", 0.0), s.constant("six", 6.0))
    both = s.op(
        "Concat", s.op("Conv", pooled, s.constant("u", normal(4, 4, 1, 1))), clipped, axis=1
    )
    s.op("Conv", both, s.constant("t", normal(4, 8, 1, 1)))
    model = s.model(list(s.graph)[-1].outputs[0])
    assert set(place(model).unified) == {
        frozenset({"Relu_0", "MaxPool_0"}),
        frozenset({"Conv_2", "Concat_0"}),
    }


@pytest.mark.parametrize("end", [6.0, 1.0, 0.1, 20.0, 255.0, 3.3])
def test_the_last_level_of_a_clip_is_at_most_its_upper_bound(end: float) -> None:
    s = Sketch(opset=18)
    x = s.op("Clip", s.input("x", [4]), s.constant("low", 0.0), s.constant("high", end))
    found = activation_qparams(x, Range(0.0, end))
    last = found.scale * np.float32(255)
    assert np.float32(end) - 1e-5 * end < last <= np.float32(end) + np.finfo(np.float32).eps


@pytest.mark.parametrize(("shift", "zero_point"), [(None, 0), (-127.0, 127), (-255.0, 255)])
def test_uint8_tensors_keep_their_bytes(shift: float | None, zero_point: int) -> None:
    s = Sketch(opset=18)
    x = s.op("Cast", s.input("x", [4], ir.DataType.UINT8), to=ir.DataType.FLOAT.value)
    if shift is not None:
        x = s.op("Add", x, s.constant("shift", shift))
    found = activation_qparams(x, Range(-1.0, 1.0))
    assert (found.scale, found.zero_point) == (1.0, zero_point)


@pytest.mark.parametrize("shift", [-127.5, 1.0, -256.0])
def test_uint8_tensors_with_another_shift_are_quantized_anew(shift: float) -> None:
    s = Sketch(opset=18)
    x = s.op("Cast", s.input("x", [4], ir.DataType.UINT8), to=ir.DataType.FLOAT.value)
    found = activation_qparams(s.op("Add", x, s.constant("shift", shift)), Range(-1.0, 1.0))
    assert found.scale != 1.0
