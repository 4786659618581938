"""Write the shape of every value into the graph."""

from __future__ import annotations

import onnx_ir as ir

from kexport.shapes import infer_outputs


def infer_shapes(model: ir.Model) -> ir.Model:
    """Infer each value's shape again from the graph's inputs; a fixed batch reaches every layer."""
    model = model.clone()
    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph:
        before = [(value.type, value.shape) for value in node.outputs]
        infer_outputs(node, opset)
        for value, (dtype, shape) in zip(node.outputs, before, strict=True):
            value.type = value.type or dtype
            value.shape = value.shape if value.shape is not None else shape
    return model
