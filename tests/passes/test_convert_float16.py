"""convert_float16: strongly typed graphs, with some nodes in float32."""

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from keras import layers
from phases import PREPARE_FLOAT16, simplify, to_float16
from support import Sketch, far, normal, onnx_answers, randomise, snapshot

from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.passes.convert_float16 import convert_float16

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def float_types(node: ir.Node) -> set[ir.DataType]:
    if node.op_type == "Cast":
        return set()
    values = [*node.inputs, *node.outputs]
    return {v.dtype for v in values if v is not None and v.dtype in FLOATS}


def network() -> ir.Model:
    x = keras.Input((12, 12, 3))
    y = layers.Conv2D(8, 3, activation="relu")(x)
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(y))
    y = layers.LayerNormalization()(layers.ReLU(6.0)(y))
    y = layers.Add()([y, layers.Conv2D(8, 1, activation="gelu")(y)])
    y = layers.GlobalAveragePooling2D()(y)
    y = layers.Dense(5, activation="softmax")(y)
    model = convert_model(randomise(keras.Model(x, y))).model
    passes = (*simplify("tf", 2), *PREPARE_FLOAT16)
    return pipeline.run(model, passes).model


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_no_node_mixes_float_types(opset: int) -> None:
    model = network()
    before = snapshot(model)
    softmax = frozenset(node.name or "" for node in model.graph if node.op_type == "Softmax")
    half = pipeline.run(model, to_float16(opset, softmax)).model
    assert snapshot(model) == before
    onnx.checker.check_model(ir.to_proto(half), full_check=True)
    for node in half.graph:
        assert len(float_types(node)) <= 1, node
    (kept,) = [node for node in half.graph if node.op_type == "Softmax"]
    assert float_types(kept) == {ir.DataType.FLOAT}
    assert all(float_types(n) == {ir.DataType.FLOAT16} for n in half.graph if n.op_type == "Conv")


def test_inputs_and_outputs_keep_their_types_and_names() -> None:
    model = network()
    half = pipeline.run(model, to_float16(20, frozenset())).model
    assert [(v.name, v.dtype) for v in half.graph.inputs] == [("image", ir.DataType.UINT8)]
    (output,) = half.graph.outputs
    assert (output.name, output.dtype) == ("probabilities", ir.DataType.FLOAT)


def test_outputs_equal_float32_up_to_rounding() -> None:
    model = network()
    image = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
    half = pipeline.run(model, to_float16(20, frozenset())).model
    gap = far(onnx_answers(half, [image])[0], onnx_answers(model, [image])[0])
    assert 0 < gap < 2e-3


def test_weights_are_stored_in_half_the_bytes() -> None:
    half = pipeline.run(network(), to_float16(20, frozenset())).model
    large = [v for v in half.graph.initializers.values() if v.const_value.size > 8]
    assert large
    assert {v.dtype for v in large} == {ir.DataType.FLOAT16}


def test_a_kept_node_between_two_others_has_casts_on_both_sides() -> None:
    s = Sketch()
    y = s.op("Relu", s.op("Exp", s.op("Relu", s.input("x", [2, 3]))))
    changed = convert_float16(frozenset({"Exp_0"}))(s.model(y))
    assert [node.op_type for node in changed.graph] == [
        "Cast",
        "Relu",
        "Cast",
        "Exp",
        "Cast",
        "Relu",
        "Cast",
    ]
    x = np.array([[1, 2, 8], [0, -1, 11]], np.float32)  # exp(12) would be infinite
    assert far(onnx_answers(changed, [x])[0][:1, :2], np.exp(x[:1, :2])) < 1e-3


def test_a_constant_read_in_both_types_exists_in_both() -> None:
    s = Sketch()
    x, c = s.input("x", [2, 3]), s.constant("c", [1.0, 2.0, 3.0])
    model = s.model(s.op("Mul", s.op("Add", x, c), c))
    changed = convert_float16(frozenset({"Mul_0"}))(model)
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)
    given = normal(2, 3)
    assert far(onnx_answers(changed, [given])[0], onnx_answers(model, [given])[0]) < 1e-2


def test_integer_tensors_keep_their_type() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    model = s.model(s.op("Gather", x, s.constant("i", [1, 0], np.int64), axis=1))
    changed = convert_float16(frozenset())(model)
    gather = next(node for node in changed.graph if node.op_type == "Gather")
    assert gather.inputs[1].dtype == ir.DataType.INT64


def test_outputs_that_are_inputs_or_constants_keep_their_type() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    model = s.model(s.op("Relu", x), s.op("Identity", x))
    changed = convert_float16(frozenset())(model)
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)


def test_the_scales_of_a_resize_stay_in_float32() -> None:
    x = keras.Input((6, 6, 3))
    y = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(4, 3)(x))
    model = convert_model(randomise(keras.Model(x, layers.Conv2D(2, 3)(y)))).model
    model = pipeline.run(model, simplify(None, 1)).model
    half = pipeline.run(model, to_float16(17, frozenset())).model
    (resize,) = [node for node in half.graph if node.op_type == "Resize"]
    given = normal(1, 6, 6, 3)
    assert resize.inputs[2].dtype == ir.DataType.FLOAT
    assert resize.outputs[0].dtype == ir.DataType.FLOAT16
    assert far(onnx_answers(half, [given])[0], onnx_answers(model, [given])[0]) < 5e-3


def quantized() -> ir.Model:
    """Relu -> Q -> DQ -> two Convs with int8 weights, one of them after another Relu."""
    s = Sketch(19)

    def through(x: ir.Value, name: str, scale: object) -> ir.Value:
        step, zero = s.constant(f"{name}.scale", scale), s.constant(f"{name}.zero", 0, np.int8)
        integers = s.op("QuantizeLinear", x, step, zero)
        return s.op("DequantizeLinear", integers, step, zero)

    def weights(name: str, seed: int) -> ir.Value:
        levels = np.clip(normal(4, 4, 1, 1, seed=seed, scale=50), -127, 127).astype(np.int8)
        step = s.constant(f"{name}.scale", [0.5**k for k in range(5, 9)])
        zero = s.constant(f"{name}.zero", np.zeros(4), np.int8)
        return s.op("DequantizeLinear", s.constant(name, levels, np.int8), step, zero, axis=0)

    x = through(s.op("Relu", s.input("x", [1, 4, 3, 3])), "x", 2.0**-5)
    first = s.op("Conv", x, weights("v", 1))
    second = s.op("Conv", x, weights("w", 2))
    return s.model(s.op("Relu", first), s.op("Relu", second))


@pytest.mark.parametrize("kept", [(), ("Conv_1",), ("Conv_0", "Conv_1", "Relu_0")])
def test_no_cast_separates_dequantize_from_its_readers(kept: tuple[str, ...]) -> None:
    model = quantized()
    changed = convert_float16(frozenset(kept))(model)
    proto = ir.to_proto(changed)
    onnx.checker.check_model(proto, full_check=True)
    types = {}
    for node in changed.graph:
        assert node.op_type == "Cast" or len(float_types(node)) == 1, node
        if node.op_type == "Conv":
            types[node.name] = node.inputs[0].dtype
            sources = [value.producer().op_type for value in node.inputs]
            assert sources == ["DequantizeLinear"] * 2
    single = {name for name, dtype in types.items() if dtype == ir.DataType.FLOAT}
    assert single == set(kept) & {"Conv_0", "Conv_1"}
    given = np.abs(normal(1, 4, 3, 3)).astype(np.float16).astype(np.float32)
    for mine, wanted in zip(
        onnx_answers(changed, [given]), onnx_answers(model, [given]), strict=True
    ):
        assert far(mine, wanted) < 2e-3
