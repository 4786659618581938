"""Write the shape of every value into the graph."""

from __future__ import annotations

import onnx_ir as ir

from kexport.artifact import Pass
from kexport.shapes import infer_outputs


@Pass
def infer_shapes(model: ir.Model) -> None:
    """Infer each shape that is not wholly known, and all those behind one that became known."""
    opset = model.graph.opset_imports.get("", 0)
    changed: set[ir.Value] = set()
    for node in model.graph:
        if changed.isdisjoint(node.inputs) and all(_is_known(value) for value in node.outputs):
            continue
        before = [(value.type, value.shape) for value in node.outputs]
        infer_outputs(node, opset)
        for value, (dtype, shape) in zip(node.outputs, before, strict=True):
            value.type = value.type or dtype
            value.shape = _merged(value.shape, shape)
            if (value.type, value.shape) != (dtype, shape):
                changed.add(value)


def _is_known(value: ir.Value) -> bool:
    """Whether a value has a type, and every axis a number or a name."""
    if value.type is None or value.shape is None:
        return False
    return all(isinstance(dim, int) or dim.value is not None for dim in value.shape)


def _merged(found: ir.Shape | None, known: ir.Shape | None) -> ir.Shape | None:
    """What was found, and what was known wherever nothing was."""
    if found is None or known is None or len(found) != len(known):
        return known if found is None else found
    return ir.Shape(
        [
            dim if isinstance(dim, int) or dim.value is not None else before
            for dim, before in zip(found, known, strict=True)
        ]
    )
