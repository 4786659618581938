"""Cast of a uint8 input, moved before all nodes that move its values."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from kexport.graph.edit import take_over
from kexport.graph.passes import Pass

UINT8, HALF, SINGLE = ir.DataType.UINT8, ir.DataType.FLOAT16, ir.DataType.FLOAT

MOVING = frozenset(
    {"Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze"}
    | {"Tile", "Transpose", "Unsqueeze"}
)
"""Operators that move values and compute none, and so give the same in any type."""


@Pass
def hoist_uint8_cast(model: ir.Model) -> None:
    """Cast a uint8 input to floats before other nodes read it.

    Cast(Transpose(x)) ==> Transpose(Cast(x)), and likewise for all operators that only move values.
    A Cast to integers reads the floats.

    Applies to uint8 inputs that only such operators and Casts read. In TensorRT uint8 is a type of
    inputs, and no layer except the Cast of an input to float32 or float16 computes on it
    (`nvinfer1::DataType::kUINT8` in NvInferRuntimeBase.h). The type is float16 if all Casts are to
    float16. Exact: floats hold every byte.
    """
    for value in model.graph.inputs:
        if value.dtype == UINT8:
            path = _Path()
            path.follow(value)
            if path.open and (path.moving or path.to_integers):
                _cast(model.graph, value, path)


@dataclass(slots=True)
class _Path:
    """The nodes that the values of an input pass as uint8."""

    values: set[ir.Value] = field(default_factory=set)
    moving: list[ir.Node] = field(default_factory=list)
    casts: list[ir.Node] = field(default_factory=list)
    blocked: bool = False

    def follow(self, value: ir.Value) -> None:
        self.values.add(value)
        self.blocked |= value.is_graph_output()
        for node in {use.node: None for use in value.uses()}:
            if node.op_type == "Cast":
                self.casts.append(node)
            elif node.op_type == "Shape":  # it reads no values
                continue
            elif node.op_type not in MOVING:
                self.blocked = True
            elif node not in self.moving:
                self.moving.append(node)
                for output in node.outputs:
                    self.follow(output)

    @property
    def to_integers(self) -> bool:
        """Whether a Cast is to another type than floats."""
        ends = {node.attributes["to"].as_int() for node in self.casts}
        return bool(ends - {HALF.value, SINGLE.value})

    @property
    def open(self) -> bool:
        """Whether the moving nodes read no uint8 except that of the input."""
        read = {value for node in self.moving for value in node.inputs if value is not None}
        return not self.blocked and {v for v in read if v.dtype == UINT8} <= self.values


def _cast(graph: ir.Graph, source: ir.Value, path: _Path) -> None:
    ends = {node.attributes["to"].as_int() for node in path.casts}
    dtype = HALF if ends == {HALF.value} else SINGLE
    readers = [(use.node, use.idx) for use in source.uses()]
    cast = ir.node("Cast", [source], {"to": dtype.value}, name=f"{source.name}.Cast")
    result = cast.outputs[0]
    result.name, result.shape = cast.name, source.shape
    graph.insert_before(next(iter(graph)), cast)
    for node, index in readers:
        node.replace_input_with(index, result)
    for value in {*path.values - {source}, result}:
        value.type = ir.TensorType(dtype)
    for node in path.casts:
        if node.attributes["to"].as_int() == dtype.value:
            before = node.inputs[0]
            assert before is not None, "a Cast has an input"
            take_over(node.outputs[0], before)
            graph.remove(node, safe=True)
