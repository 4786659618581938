"""Write the shape of every value into the graph."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.passes import Pass
from kexport.graph.shapes import refine_outputs


@Pass
def infer_shapes(model: ir.Model) -> None:
    """Infer each shape that is not wholly known, and all those behind one that became known."""
    opset = model.graph.opset_imports.get("", 0)
    found: set[ir.Value] = set()
    for node in model.graph:
        refine_outputs(node, opset, found)
