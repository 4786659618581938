"""Gates of squeeze-and-excitation, resized to stay in a blocked layout."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import constant, numbers
from kexport.graph.passes import Pass


@Pass
def resize_se_gates(model: ir.Model) -> None:
    """Resize the gate of a squeeze-and-excitation block to the size of its features.

    Mul(x, gate) ==> Mul(x, Resize(gate)) with x [N, C, H, W] and gate [N, C, 1, 1]

    Applies with known H and W, on x86. ONNX Runtime keeps convolutions there in blocks of channels
    (NCHWc). It has a Resize in that layout and a Mul of equal shapes, but no Mul that broadcasts:
    it would reorder the whole tensor out of the layout and back
    (onnxruntime/core/optimizer/nchwc_transformer.cc). Exact.
    """
    for node in list(model.graph):
        if node.op_type != "Mul":
            continue
        for index in (0, 1):
            gate, features = node.inputs[index], node.inputs[1 - index]
            size = _pixels(gate, features)
            if size is not None and gate is not None and features is not None:
                node.replace_input_with(index, _resized(model.graph, node, gate, features, size))


def _pixels(gate: ir.Value | None, features: ir.Value | None) -> tuple[int, int] | None:
    """Return height and width of `features` if `gate` has one number for each channel."""
    if gate is None or features is None or constant(gate) is not None:
        return None
    narrow, wide = gate.shape, features.shape
    if narrow is None or wide is None or len(narrow) != 4 or len(wide) != 4:
        return None
    height, width = wide[2], wide[3]
    if not isinstance(height, int) or not isinstance(width, int) or height * width == 1:
        return None
    return (height, width) if list(narrow) == [wide[0], wide[1], 1, 1] else None


def _resized(
    graph: ir.Graph, node: ir.Node, gate: ir.Value, features: ir.Value, size: tuple[int, int]
) -> ir.Value:
    scales = numbers(graph, f"{node.name}.scales", np.asarray([1, 1, *size], np.float32))
    how = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    resize = ir.node("Resize", [gate, None, scales], how, name=f"{node.name}.Resize")
    result = resize.outputs[0]
    result.name, result.type, result.shape = resize.name, gate.type, features.shape
    graph.insert_before(node, resize)
    return result
