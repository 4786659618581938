"""BatchNormalization and other per-channel steps, moved into the Conv or MatMul before them."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.affine import Affine, affine_of
from kexport.graph.edit import constant, initializer, producer, remove, replace_node, take_over
from kexport.graph.passes import Pass
from kexport.graph.weights import add_to_bias, scale_outputs


@Pass
def fuse_conv_affine(model: ir.Model) -> None:
    """Move scales and shifts into the Conv or MatMul before them.

    1. Conv(x, W, b) * s + t ==> Conv(x, W', b') with W' = W * s by output channel and
       b' = b * s + t
    2. (MatMul(x, W) + b) * s + t ==> MatMul(x, W') + b', with W' and b' likewise

    Applies to BatchNormalization, Mul, Div, Add and Sub with one constant per channel after a Conv
    or MatMul with constant W and no other reader (Jacob et al., 2018, section 3.2). Each removed
    node saves a pass over the tensor. Exact up to rounding; W' and b' are computed in float64.
    """
    for node in list(model.graph):
        _fold_into_conv(model.graph, node)
        _fold_into_matmul(model.graph, node)


def _fold_into_conv(graph: ir.Graph, node: ir.Node) -> None:
    step = affine_of(node, 1)
    conv = None if step is None else producer(step.x, "Conv")
    if step is None or conv is None or constant(conv.inputs[1]) is None:
        return
    scale_outputs(graph, conv, step.scale)
    add_to_bias(graph, conv, step.shift, step.scale)
    take_over(node.outputs[0], conv.outputs[0])
    remove(graph, node)


def _fold_into_matmul(graph: ir.Graph, node: ir.Node) -> None:
    step = _last_axis_affine(node)
    if step is None:
        return
    bias = producer(step.x, "Add")
    biased = _last_axis_affine(bias)
    matmul = producer(step.x if biased is None else biased.x, "MatMul")
    plain_bias = biased is None and bool((step.scale == 1).all())
    if matmul is None or constant(matmul.inputs[1]) is None or plain_bias:
        return
    whole = step if biased is None else step.after(biased)
    scale_outputs(graph, matmul, whole.scale)
    _replace_by_add(graph, node, matmul.outputs[0], whole)
    if bias is not None and biased is not None:
        remove(graph, bias)


def _last_axis_affine(node: ir.Node | None) -> Affine | None:
    rank = 0 if node is None or node.outputs[0].shape is None else len(node.outputs[0].shape)
    if rank == 2 and node is not None and node.op_type == "BatchNormalization":
        return affine_of(node, 1)
    return affine_of(node, rank - 1) if rank else None


def _replace_by_add(graph: ir.Graph, node: ir.Node, x: ir.Value, step: Affine) -> None:
    dtype = x.dtype or ir.DataType.FLOAT
    shift = initializer(graph, f"{node.name}.bias", lambda: step.shift, dtype, step.shift.shape)
    add = ir.node("Add", [x, shift], name=f"{node.name}.add")
    replace_node(graph, node, add, f"{node.outputs[0].name}.add")
