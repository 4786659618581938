"""The batch axis of a graph: whether samples stay apart on it, so that its size may change."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.edit import attribute, constant, small

SAMPLEWISE = frozenset(
    {"Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Conv", "ConvTranspose", "Div"}
    | {"Elu", "Erf", "Exp", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid"}
    | {"HardSwish", "LeakyRelu", "Max", "MaxPool", "Min", "Mul", "PRelu", "Relu", "Selu"}
    | {"Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh"}
)
"""Operators that treat each sample of the first axis alone, and read its size nowhere."""


def is_samplewise(model: ir.Model) -> bool:
    """Decide whether a graph with a fixed batch size computes the same for any other one.

    True only where every node is known to treat samples alone. An operator that may hold the batch
    size in a constant, such as a Reshape to fixed extents, makes it False.
    """
    return all(_is_samplewise(node) for node in model.graph)


def _is_samplewise(node: ir.Node) -> bool:
    if any(len(c.shape) and c.shape[0] != 1 for c in _added_constants(node)):
        return False
    match node.op_type:
        case "Concat":
            return int(attribute(node, "axis", 0)) > 0
        case "Flatten" | "Softmax":
            return int(attribute(node, "axis", 1)) in (1, -1)
        case "Gemm":
            return not attribute(node, "transA", 0) and constant(node.inputs[1]) is not None
        case "MatMul":
            weights = constant(node.inputs[1])
            return weights is not None and len(weights.shape) == 2
        case "Pad":
            pads = small(node.inputs[1])
            return pads is not None and pads[0] == 0 == pads[len(pads) // 2]
        case "Transpose":
            return bool(attribute(node, "perm", [1])[0] == 0)
    return node.op_type in SAMPLEWISE


def _added_constants(node: ir.Node) -> list[ir.TensorProtocol]:
    """Return the constants that an elementwise node broadcasts over all axes of its output."""
    rank = None if node.outputs[0].shape is None else len(node.outputs[0].shape)
    if node.op_type not in ("Add", "Div", "Max", "Min", "Mul", "Sub"):
        return []
    found = [constant(value) for value in node.inputs]
    return [tensor for tensor in found if tensor is not None and len(tensor.shape) == rank]
