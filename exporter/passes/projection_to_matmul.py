"""Quantized 1 x 1 convolutions with a float result as matrix products."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import (
    constant,
    initializer,
    like,
    numbers,
    remove,
    small,
    take_over,
)
from kexport.graph.passes import Pass
from kexport.graph.pointwise import is_pointwise
from kexport.graph.shapes import extents

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


@Pass
def projection_to_matmul(model: ir.Model) -> None:
    """Compute a quantized 1 x 1 Conv whose result an Add reads in float as a matrix product.

    Add(Conv(DequantizeLinear(x), DequantizeLinear(W), b), y) ==>
    Add(Transpose(MatMul(DequantizeLinear(Transpose(x)), DequantizeLinear(W^T)) + b), y)

    Applies to a Conv without groups, strides and pads. ONNX Runtime's QLinearConv has no float
    result, and its ConvInteger takes ten times as long; its MatMulIntegerToFloat is as fast as
    QLinearConv, which computes in [N, H, W, C] too, so that the Transposes cancel. Exact up to
    rounding.
    """
    for node in list(model.graph):
        reads = [use.node.op_type for use in node.outputs[0].uses()]
        if node.op_type == "Conv" and "Add" in reads:
            _replace(model.graph, node)


def _scale(value: ir.Value | None) -> ir.Node | None:
    """Return the DequantizeLinear that computes `value`."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _replace(graph: ir.Graph, conv: ir.Node) -> None:
    inputs, name = list(conv.inputs), conv.name or ""
    reads = [_scale(value) for value in inputs]
    data, matrix_read, result = reads[0], reads[1], conv.outputs[0]
    tensor = None if matrix_read is None else constant(matrix_read.inputs[0])
    if data is None or matrix_read is None or tensor is None:
        return
    if not is_pointwise(conv, extents(tensor)):
        return
    matrix = initializer(
        graph,
        f"{name}.matrix",
        lambda: _matrix(tensor),
        tensor.dtype,
        extents(tensor)[1::-1],
    )
    turned = _node("Transpose", [data.inputs[0]], f"{name}.nhwc", perm=TO_NHWC)
    given = _node("DequantizeLinear", [turned.outputs[0], *data.inputs[1:]], f"{name}.input")
    weights = _node(
        "DequantizeLinear", [matrix, *matrix_read.inputs[1:]], f"{name}.weights", axis=1
    )
    product = _node("MatMul", [given.outputs[0], weights.outputs[0]], f"{name}.product")
    product.name = name
    nodes = [turned, given, weights, product]
    if len(inputs) > 2 and inputs[2] is not None:
        addend = _as_floats(graph, inputs[2], name)
        nodes.append(_node("Add", [product.outputs[0], addend], f"{name}.biased"))
    nodes.append(_node("Transpose", [nodes[-1].outputs[0]], f"{name}.nchw", perm=TO_NCHW))
    graph.insert_before(conv, nodes)
    like(nodes[-1].outputs[0], result)
    take_over(result, nodes[-1].outputs[0])
    remove(graph, conv)
    remove(graph, *(read for read in reads if read is not None and not read.outputs[0].uses()))


def _matrix(weights: ir.TensorProtocol) -> Array:
    """Return the weights [M, K, 1, 1] of a Conv as those of a MatMul, [K, M]."""
    return np.ascontiguousarray(weights.numpy()[:, :, 0, 0].T)


def _as_floats(graph: ir.Graph, bias: ir.Value, name: str) -> ir.Value:
    """Return a constant bias [M] as float32 [1, 1, 1, M].

    ONNX Runtime would dequantize integers in every run, and fuse a MatMul with a bias of one axis
    to a Gemm of floats (matmul_add_fusion.cc).
    """
    read = _scale(bias)
    held, scale = (bias, None) if read is None else (read.inputs[0], small(read.inputs[1]))
    array = small(held)
    if array is None:
        raise ValueError(f"the bias of {name} is not constant")
    floats = array.astype(np.float32) * (1 if scale is None else scale)
    return numbers(graph, f"{name}.addend", floats.astype(np.float32).reshape(1, 1, 1, -1))


def _node(
    op_type: str, inputs: list[ir.Value | None], name: str, **attributes: int | list[int]
) -> ir.Node:
    node = ir.node(op_type, inputs, attributes, name=name)
    node.outputs[0].name = name
    return node
