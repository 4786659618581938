"""Shape inference."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.passes import Pass
from kexport.graph.shapes import refine_outputs


@Pass
def infer_shapes(model: ir.Model) -> None:
    """Infer the dtype and shape of every value.

    Value of unknown shape ==> value with dtype and shape

    Applies to values whose shape is not completely known, and to those computed from them. Engines
    and later passes read the shapes. Exact: the rules are those of ONNX.
    """
    opset = model.graph.opset_imports.get("", 0)
    found: set[ir.Value] = set()
    for node in model.graph:
        refine_outputs(node, opset, found)
