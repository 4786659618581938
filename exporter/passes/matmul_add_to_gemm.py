"""MatMul and its bias as one Gemm."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.edit import constant, producer, remove, replace_node
from kexport.graph.passes import Pass


@Pass
def matmul_add_to_gemm(model: ir.Model) -> None:
    """Replace a MatMul and the Add of its bias by one Gemm.

    Add(MatMul(x, W), b) ==> Gemm(x, W, b)

    Applies to x [N, K], constant W [K, M] and constant b [M]. A Gemm adds the bias in the same
    kernel, and has an integer form with a bias. Exact up to rounding.
    """
    for node in list(model.graph):
        if node.op_type != "Add":
            continue
        matmul = producer(node.inputs[0], "MatMul")
        bias = constant(node.inputs[1])
        if matmul is None or bias is None or constant(matmul.inputs[1]) is None:
            continue
        x, weights = matmul.inputs
        if x is None or x.shape is None or len(x.shape) != 2 or len(bias.shape) != 1:
            continue
        if node.outputs[0].shape != matmul.outputs[0].shape:
            continue
        gemm = ir.node("Gemm", [x, weights, node.inputs[1]], name=f"{matmul.name}.Gemm")
        replace_node(model.graph, node, gemm, f"{node.outputs[0].name}.Gemm")
        remove(model.graph, matmul)
