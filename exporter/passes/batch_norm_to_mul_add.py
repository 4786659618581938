"""BatchNormalization that no Conv could absorb as one Mul and one Add."""

from __future__ import annotations

import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.affine import Affine, affine_of
from kexport.graph.edit import initializer, like, remove, take_over
from kexport.graph.emit import Emitter
from kexport.graph.passes import Pass


@Pass
def batch_norm_to_mul_add(model: ir.Model) -> None:
    """Rewrite a BatchNormalization as one Mul and one Add.

    BatchNormalization(x) ==> Add(Mul(x, s), t) with s = scale / sqrt(var + epsilon) and
    t = shift - mean * s

    Applies to every BatchNormalization with constant statistics. In float16 each of the four
    statistics would be rounded, and a moving variance can exceed 65504; s and t are computed in
    float64 and rounded once. Exact up to rounding.
    """
    for node in list(model.graph):
        step = affine_of(node, 1) if node.op_type == "BatchNormalization" else None
        if step is None:
            continue
        emit = Emitter.before(model.graph, node)
        scaled = emit("Mul", step.x, _per_channel(model.graph, node, "scale", step, step.scale))
        shifted = emit("Add", scaled, _per_channel(model.graph, node, "shift", step, step.shift))
        for value in (scaled, shifted):
            like(value, node.outputs[0])
        take_over(node.outputs[0], shifted)
        remove(model.graph, node)


def _per_channel(
    graph: ir.Graph, node: ir.Node, leaf: str, step: Affine, values: Array
) -> ir.Value:
    shape = (step.channels, *[1] * (len(step.x.shape or ()) - 2))
    dtype = step.x.dtype or ir.DataType.FLOAT
    return initializer(graph, f"{node.name}.{leaf}", lambda: values.reshape(shape), dtype, shape)
