"""Parsing the layers in TensorRT-RTX's log; the lines are from release 1.7.1."""

from __future__ import annotations

import onnx_ir as ir

from kexport.bundle.engine_layers import Coverage, Layer, counted, coverage, read_layers

HALF = ir.DataType.FLOAT16

LOG = """Adding 1 engine(s) to plan file.
Engine Information:
Layers:
Name: __myl_CastTran_myl0_0, LayerType: kgen, Inputs: [ { Name: image, Dimensions: [1,8,8,3], \
Strides: [192,24,3,1], StrideOrder: [3,2,1,0], Datatype: UInt8, Format: (Linear) Row major linear \
format }], Constants: [], Outputs: [ { Name: c, Dimensions: [1,3,8,8], Datatype: Int8, Format: x \
}], TacticName: a, StreamId: 0, Metadata: [ONNX Layer: first/Conv][ONNX Layer: image.Cast]
Name: first/Conv_myl0_1, LayerType: correlation, Inputs: [ { Name: c, Dimensions: [1,3,8,8], \
Datatype: Int8, Format: x }, { Name: shortcut, Datatype: Float, Format: x }], Constants: [ { Name: \
w, Dimensions: [16,3,3,3], Datatype: Int8, Format: x }], Outputs: [ { Name: d, Datatype: Float, \
Format: x }], TacticName: __myelin_CASK_STUB, StreamId: 0, Metadata: [ONNX Layer: first/Conv]\
[ONNX Layer: first/Relu]
Name: second/Conv_myl0_2, LayerType: runtime_fusion, Inputs: [ { Name: d, Datatype: Float, Format: \
x }], Constants: [], Outputs: [], TacticName: , StreamId: 0, Metadata: [ONNX Layer: second/Conv]\
__gemm_from_conv1x1

I/O Tensors:
 Name: image, IOMode: Input, DataType: UInt8, Dimensions: [1,8,8,3], Location: Device
"""


FUSED = """
Layers:
Name: __myl_CorrCastAdd_myl0_3, LayerType: runtime_fusion, Inputs: [ { Name: r, Dimensions: \
[1,16,4,4], Datatype: Half, Format: x }, { Name: s, Dimensions: [1,16,4,4], Datatype: Float, \
Format: x }], Constants: [ { Name: b, Dimensions: [1,16,1,1], Datatype: Half, Format: x }, { Name: \
w, Dimensions: [16,16,1,1], Datatype: Float, Format: x }], Outputs: [ { Name: t, Dimensions: \
[1,16,4,4], Datatype: Half, Format: x }], TacticName: , StreamId: 0, Metadata: [ONNX Layer: a/Conv]\
[ONNX Layer: c.cast][ONNX Layer: add]
"""


def quantized(name: str) -> ir.Value:
    integer = ir.Value(name=f"{name}.quantized", type=ir.TensorType(ir.DataType.INT8))
    scale = ir.Value(name=f"{name}.scale")
    return ir.node("DequantizeLinear", [integer, scale], name=f"{name}.decode").outputs[0]


def value(name: str, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype))


def model_of(*nodes: ir.Node) -> ir.Model:
    return ir.Model(ir.Graph([], [], nodes=nodes, opset_imports={"": 17}), ir_version=8)


def test_layers_are_read_with_their_types_and_nodes() -> None:
    assert read_layers(LOG) == (
        Layer("__myl_CastTran_myl0_0", "kgen", "UINT8", ("first/Conv", "image.Cast")),
        Layer("first/Conv_myl0_1", "correlation", "INT8", ("first/Conv", "first/Relu")),
        Layer("second/Conv_myl0_2", "runtime_fusion", "FP32", ("second/Conv",)),
    )
    assert counted(read_layers(LOG)) == {"FP32": 1, "INT8": 1, "UINT8": 1}


def test_a_log_without_layers_has_none() -> None:
    assert read_layers("nothing was built\n") == ()


def test_a_residual_of_another_type_does_not_decide_a_products_type() -> None:
    (layer,) = read_layers(FUSED)
    assert layer.type == "FP32"
    (layer,) = read_layers(FUSED.replace("Datatype: Float", "Datatype: Int8"))
    assert layer.type == "INT8"
    (layer,) = read_layers(FUSED.replace("runtime_fusion", "kgen"))
    assert layer.type == "FP16"


def test_weights_of_a_type_that_no_input_has_do_not_count() -> None:
    (layer,) = read_layers(
        FUSED.replace("16,16,1,1], Datatype: Float", "16,16,1,1], Datatype: Int8")
    )
    assert layer.type == "FP16"


def test_types_in_the_graph_are_compared_with_the_engines() -> None:
    model = model_of(
        ir.node("Conv", [quantized("a"), quantized("b")], name="first/Conv"),
        ir.node("Conv", [quantized("c"), quantized("d")], name="second/Conv"),
        ir.node("Conv", [value("e"), quantized("f")], name="lost/Conv"),
        ir.node("Gemm", [value("g", ir.DataType.FLOAT16), value("h")], name="top"),
        ir.node("Relu", [value("i")], name="relu"),
    )
    assert coverage(model, read_layers(LOG)) == (
        Coverage("convolutions", "FP32", 1, 0, ("lost/Conv: ?",)),
        Coverage("convolutions", "INT8", 2, 1, ("second/Conv: FP32",)),
        Coverage("matrix products", "FP16", 1, 0, ("top: ?",)),
    )


def test_a_layer_named_after_the_node_has_priority() -> None:
    layers = (
        Layer("glue", "kgen", "UINT8", ("a/Conv",)),
        Layer("b/Conv_myl0_1", "correlation", "FP16", ("a/Conv", "b/Conv")),
        Layer("a/Conv_myl0_0", "correlation", "FP32", ("a/Conv",)),
        Layer("b/Relu_myl0_2", "correlation", "INT8", ("b/Conv",)),
    )
    half, single = (value(name, kind) for name, kind in (("x", HALF), ("y", ir.DataType.FLOAT)))
    model = model_of(
        ir.node("Conv", [single, value("w")], name="a/Conv"),
        ir.node("Conv", [half, value("v")], name="b/Conv"),
    )
    assert [row.found for row in coverage(model, layers)] == [1, 1]


def test_the_text_of_the_command_line() -> None:
    assert str(Coverage("convolutions", "INT8", 94, 94, ())) == "94 of 94 convolutions in INT8"
