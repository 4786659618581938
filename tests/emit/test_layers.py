"""What TensorRT-RTX logs about the layers of an engine, read; lines from release 1.7.1."""

from __future__ import annotations

import onnx_ir as ir

from kexport.emit.layers import Coverage, Layer, counted, coverage, read_layers

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


def quantised(name: str) -> ir.Value:
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


def test_what_the_graph_wants_is_held_to_what_the_engine_does() -> None:
    model = model_of(
        ir.node("Conv", [quantised("a"), quantised("b")], name="first/Conv"),
        ir.node("Conv", [quantised("c"), quantised("d")], name="second/Conv"),
        ir.node("Conv", [value("e"), quantised("f")], name="lost/Conv"),
        ir.node("Gemm", [value("g", ir.DataType.FLOAT16), value("h")], name="top"),
        ir.node("Relu", [value("i")], name="relu"),
    )
    assert coverage(model, read_layers(LOG)) == (
        Coverage("convolutions", "FP32", 1, 0, ("lost/Conv: ?",)),
        Coverage("convolutions", "INT8", 2, 1, ("second/Conv: FP32",)),
        Coverage("matrix products", "FP16", 1, 0, ("top: ?",)),
    )


def test_the_words_of_the_command_line() -> None:
    assert str(Coverage("convolutions", "INT8", 94, 94, ())) == "94 of 94 convolutions in INT8"
