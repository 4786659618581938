"""Conversion to float16; nodes that exceed its range or precision stay in float32."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.bodies import bodies
from kexport.graph.edit import constant, initializer
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents

HALF, SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT

Place = ir.Graph | ir.Function
"""Where the readers of a Cast are."""

ALWAYS_FLOAT32 = frozenset({("Resize", 2)})
"""Inputs that are float32 in ONNX whatever the type of the others: the scales of a Resize."""


TYPED = frozenset({"Constant", "ConstantOfShape", "EyeLike"})
"""Operators whose attributes tell the type of the result; it is cast where it is read."""


RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
"""Operators that TensorRT masks with a float32 zero where they have `sequence_lens`: its importer
then refuses a strongly typed network in float16 (`ISelectLayer`, TensorRT for RTX 1.7)."""


def convert_float16(kept: frozenset[str]) -> Pass:
    """Return the pass that keeps the nodes named in `kept` in float32."""

    @Pass
    def convert_float16(model: ir.Model) -> None:
        """Convert float32 weights and nodes to float16.

        Op(float32) ==> Op(float16), with a Cast on every edge between a float16 and a float32 node

        Applies to every float32 node except those that the float16 guard keeps. The result is
        strongly typed, as TensorRT takes it with --stronglyTyped; inputs and outputs of the model
        keep their types. The body of a Loop, Scan or If is converted with its node; recurrent nodes
        with lengths of sequences, which TensorRT masks in float32, stay as they are. A
        QuantizeLinear gets a scale of the type that it reads, and a DequantizeLinear is repeated
        for each type of its readers, so that no Cast separates it from them; both need opset 19,
        and scales that float16 represents. Not exact: weights and results are rounded to float16.
        """
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
        self._casts: dict[tuple[ir.Value, ir.DataType, Place | None], ir.Value] = {}
        self._scales: dict[ir.Value, ir.Value] = {}
        """The float32 scale of each dequantized tensor."""

    def convert(self, node: ir.Node, allowed: ir.DataType = HALF) -> None:
        """Convert a node, to `allowed` at most."""
        wanted = SINGLE if node.name in self._kept or _counts_steps(node) else allowed
        if node.op_type == "Cast":
            self._convert_cast(node, wanted)
            return
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self._convert_scale(node, wanted)
            return
        made = any(value.dtype == SINGLE for value in node.outputs)
        if wanted == HALF and (not made or node.op_type in TYPED):
            wanted = SINGLE
        for body in bodies(node):
            self._convert_body(body, wanted)
        for index, value in enumerate(node.inputs):
            if value is None or (node.op_type, index) in ALWAYS_FLOAT32:
                continue
            if value.dtype in (SINGLE, HALF) and value.dtype != wanted:
                node.replace_input_with(index, self._as(value, wanted, node))
        if wanted == HALF:
            for value in node.outputs:
                if value.dtype == SINGLE:
                    value.type = ir.TensorType(HALF)

    def _convert_body(self, body: ir.Graph, wanted: ir.DataType) -> None:
        """Convert the nodes of a body; all floats that enter or leave it get the type `wanted`."""
        for value in body.inputs:
            if value.dtype == SINGLE:
                value.type = ir.TensorType(wanted)
        for node in list(body):
            self.convert(node, wanted)
        for index, value in enumerate(body.outputs):
            if value.dtype in (SINGLE, HALF) and value.dtype != wanted:
                cast = self._new_cast(value, wanted, body)
                body.append(cast)
                body.outputs[index] = cast.outputs[0]

    def visible(self, value: ir.Value) -> ir.Value:
        """Cast an output of the model to float32, under its own name."""
        name = value.name
        value.name = f"{name}.float16"
        last = next(reversed(list(self._graph)))
        cast = ir.node("Cast", [value], {"to": SINGLE.value}, name=f"{name}.Cast")
        cast.outputs[0].name, cast.outputs[0].shape = name, value.shape
        cast.outputs[0].type = ir.TensorType(SINGLE)
        self._graph.insert_after(last, cast)
        return cast.outputs[0]

    def _convert_cast(self, node: ir.Node, wanted: ir.DataType) -> None:
        """Let a Cast to float32, such as that of the pixels, cast to float16 instead.

        Not that of whole numbers that are only compared, such as the count of a Loop.
        """
        if node.outputs[0].dtype == SINGLE and wanted == HALF and not _is_compared_count(node):
            node.attributes["to"] = ir.AttrInt64("to", HALF.value)
            node.outputs[0].type = ir.TensorType(HALF)

    def _convert_scale(self, node: ir.Node, wanted: ir.DataType) -> None:
        """Give a scale the type of the floats that are quantized or dequantized."""
        value, scale, *_ = node.inputs
        assert value is not None, "a QuantizeLinear has a data input"
        assert scale is not None, "a QuantizeLinear has a scale"
        if node.op_type == "QuantizeLinear":
            wanted = value.dtype or wanted
        else:
            self._scales[node.outputs[0]] = scale
            node.outputs[0].type = ir.TensorType(wanted)
        if scale.dtype != wanted:
            node.replace_input_with(1, self._as(scale, wanted, node))

    def _twin(self, node: ir.Node, dtype: ir.DataType) -> ir.Value:
        """Repeat a DequantizeLinear with a result of another type."""
        value, scale = node.outputs[0], self._scales[node.outputs[0]]
        inputs = [node.inputs[0], self._as(scale, dtype, node), *node.inputs[2:]]
        name = f"{value.name}.{_suffix(dtype)}"
        twin = ir.node("DequantizeLinear", inputs, dict(node.attributes), name=name)
        result = twin.outputs[0]
        result.name, result.shape, result.type = name, value.shape, ir.TensorType(dtype)
        _graph_of(node).insert_after(node, twin)
        return result

    def _as(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        if value.dtype == dtype:
            return value
        key = (value, dtype, None if constant(value) is not None else _graph_of(reader))
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
        cast = self._new_cast(value, dtype, _graph_of(reader))
        _graph_of(reader).insert_before(reader, cast)
        return cast.outputs[0]

    def _new_cast(self, value: ir.Value, dtype: ir.DataType, place: Place) -> ir.Node:
        """Make a Cast that is in no graph yet; its name is free in the graph and all bodies."""
        inside = "" if place is self._graph else f".{place.name}"
        name = f"{value.name}.{_suffix(dtype)}{inside}"
        cast = ir.node("Cast", [value], {"to": dtype.value}, name=name)
        result = cast.outputs[0]
        result.name, result.shape, result.type = cast.name, value.shape, ir.TensorType(dtype)
        return cast


def _counts_steps(node: ir.Node) -> bool:
    """Tell whether a recurrent node is given the lengths of its sequences."""
    return node.op_type in RECURRENT and len(node.inputs) > 4 and node.inputs[4] is not None


def _is_compared_count(cast: ir.Node) -> bool:
    value = cast.inputs[0]
    readers = [use.node for use in cast.outputs[0].uses()]
    return (
        value is not None
        and value.dtype in (ir.DataType.INT32, ir.DataType.INT64)
        and bool(readers)
        and all(node.outputs[0].dtype == ir.DataType.BOOL for node in readers)
    )


def _graph_of(node: ir.Node) -> Place:
    """Return the graph or body that a node is in.

    Raises:
        ValueError: it is in none.
    """
    if node.graph is None:
        raise ValueError(f"{node.name} is in no graph")
    return node.graph


def _suffix(dtype: ir.DataType) -> str:
    return "float16" if dtype == HALF else "float32"
