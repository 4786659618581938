"""Let a MatMul of a matrix with constant weights and its bias be one Gemm."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.edit import constant, like, producer, remove, take_over
from kexport.graph.passes import Pass


@Pass
def matmul_add_to_gemm(model: ir.Model) -> None:
    """MatMul of [N, K] with constant [K, M], then Add of a constant [M]: Gemm."""
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
        like(gemm.outputs[0], node.outputs[0])
        gemm.outputs[0].name = f"{node.outputs[0].name}.Gemm"
        model.graph.insert_before(node, gemm)
        take_over(node.outputs[0], gemm.outputs[0])
        remove(model.graph, node, matmul)
