"""float16 weights and arithmetic, with the nodes that float16 cannot hold kept in float32."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.edit import constant, initializer
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents

HALF, SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT

ALWAYS_FLOAT32 = frozenset({("Resize", 2)})
"""Inputs that ONNX has in float32 whatever the node computes in: the scales of a Resize."""


def convert_float16(kept: frozenset[str]) -> Pass:
    """A pass that turns every float32 node but those named in `kept` to float16.

    The result is strongly typed: each node has inputs of one float type, and a Cast stands on every
    edge between the two. Inputs and outputs of the model keep their types.

    A QuantizeLinear has a scale of the type that it reads; a DequantizeLinear stands there once for
    each type that is read of it, so that no Cast parts it from its reader. Both need opset 19, and
    scales that float16 holds.
    """

    @Pass
    def convert_float16(model: ir.Model) -> None:
        converter = _Converter(model.graph, kept)
        for node in list(model.graph):
            converter.convert(node)
        for index, value in enumerate(model.graph.outputs):
            if value.dtype == HALF:
                model.graph.outputs[index] = converter.visible(value)

    return convert_float16


class _Converter:
    def __init__(self, graph: ir.Graph, kept: frozenset[str]) -> None:
        self._graph = graph
        self._kept = kept
        self._casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self._scales: dict[ir.Value, ir.Value] = {}
        """The float32 scale behind each dequantised tensor."""

    def convert(self, node: ir.Node) -> None:
        wanted = SINGLE if node.name in self._kept else HALF
        if node.op_type == "Cast":
            self._convert_cast(node, wanted)
            return
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self._convert_scale(node, wanted)
            return
        if wanted == HALF and not any(value.dtype == SINGLE for value in node.outputs):
            wanted = SINGLE
        for index, value in enumerate(node.inputs):
            if value is None or (node.op_type, index) in ALWAYS_FLOAT32:
                continue
            if value.dtype in (SINGLE, HALF) and value.dtype != wanted:
                node.replace_input_with(index, self._as(value, wanted, node))
        if wanted == HALF:
            for value in node.outputs:
                if value.dtype == SINGLE:
                    value.type = ir.TensorType(HALF)

    def visible(self, value: ir.Value) -> ir.Value:
        """The float32 form of an output, under the output's own name."""
        name = value.name
        value.name = f"{name}.float16"
        last = next(reversed(list(self._graph)))
        cast = ir.node("Cast", [value], {"to": SINGLE.value}, name=f"{name}.Cast")
        cast.outputs[0].name, cast.outputs[0].shape = name, value.shape
        cast.outputs[0].type = ir.TensorType(SINGLE)
        self._graph.insert_after(last, cast)
        return cast.outputs[0]

    def _convert_cast(self, node: ir.Node, wanted: ir.DataType) -> None:
        """A Cast to float32, of pixels for example, casts to the type of what follows."""
        if node.outputs[0].dtype == SINGLE and wanted == HALF:
            node.attributes["to"] = ir.AttrInt64("to", HALF.value)
            node.outputs[0].type = ir.TensorType(HALF)

    def _convert_scale(self, node: ir.Node, wanted: ir.DataType) -> None:
        """A scale has the type of the floats on the other side."""
        value, scale, *_ = node.inputs
        assert value is not None, "what is quantised is there"
        assert scale is not None, "a scale is there"
        if node.op_type == "QuantizeLinear":
            wanted = value.dtype or wanted
        else:
            self._scales[node.outputs[0]] = scale
            node.outputs[0].type = ir.TensorType(wanted)
        if scale.dtype != wanted:
            node.replace_input_with(1, self._as(scale, wanted, node))

    def _twin(self, node: ir.Node, dtype: ir.DataType) -> ir.Value:
        """What a DequantizeLinear gives, in another type."""
        value, scale = node.outputs[0], self._scales[node.outputs[0]]
        inputs = [node.inputs[0], self._as(scale, dtype, node), *node.inputs[2:]]
        name = f"{value.name}.{_suffix(dtype)}"
        twin = ir.node("DequantizeLinear", inputs, dict(node.attributes), name=name)
        result = twin.outputs[0]
        result.name, result.shape, result.type = name, value.shape, ir.TensorType(dtype)
        self._graph.insert_after(node, twin)
        return result

    def _as(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        if value.dtype == dtype:
            return value
        key = (value, dtype)
        if key not in self._casts:
            self._casts[key] = self._changed(value, dtype, reader)
        return self._casts[key]

    def _changed(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        held, source = constant(value), value.producer()
        if held is not None:
            name = f"{value.name}.{_suffix(dtype)}"
            return initializer(self._graph, name, held.numpy, dtype, extents(held))
        if value in self._scales and source is not None:
            return self._twin(source, dtype)
        return self._cast(value, dtype, reader)

    def _cast(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        name = f"{value.name}.{_suffix(dtype)}"
        cast = ir.node("Cast", [value], {"to": dtype.value}, name=name)
        result = cast.outputs[0]
        result.name, result.shape, result.type = cast.name, value.shape, ir.TensorType(dtype)
        self._graph.insert_before(reader, cast)
        return result


def _suffix(dtype: ir.DataType) -> str:
    return "float16" if dtype == HALF else "float32"
