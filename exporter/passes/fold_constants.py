"""Constant folding with ONNX's reference evaluator."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from kexport.arrays import Array
from kexport.graph.bodies import graphs
from kexport.graph.edit import attribute, constant, numbers, take_over
from kexport.graph.passes import Pass
from kexport.graph.shapes import has_body, refine_outputs

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial")


@Pass
def fold_constants(model: ir.Model) -> None:
    """Replace nodes with constant inputs by their result.

    f(constants) ==> constant; Shape(x) ==> constant

    Applies to nodes of ONNX's own domain without a body, except random ones, and to Shape of a
    value whose axes are all known; in bodies too. Shapes are inferred on the way, since a folded
    Shape makes further ones known. Engines then neither store nor compute them, and later passes
    see constants. Exact: the results are those of ONNX's reference evaluator.
    """
    opset = model.graph.opset_imports.get("", 0)
    found: set[ir.Value] = set()
    for graph in graphs(model.graph):
        for node in list(graph):
            refine_outputs(node, opset, found)
            results = _results(node, opset)
            if results is None or any(value.is_graph_output() for value in node.outputs):
                continue
            for value, result in zip(node.outputs, results, strict=True):
                folded = numbers(model.graph, f"{value.name}.folded", result)
                take_over(value, folded)
                found.add(folded)
            graph.remove(node, safe=True)


def _results(node: ir.Node, opset: int) -> list[Array] | None:
    """Return the outputs of a node that are known before the graph runs; None for others."""
    if node.op_type in RANDOM:
        return None
    if _constant_inputs(node):
        return _evaluate(node, opset)
    extents = _known_extents(node) if node.op_type == "Shape" else None
    return None if extents is None else [np.asarray(extents, np.int64)]


def _known_extents(node: ir.Node) -> list[int] | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    read = list(value.shape)[attribute(node, "start", 0) : attribute(node, "end", None)]
    extents = [dim for dim in read if isinstance(dim, int)]
    return extents if len(extents) == len(read) else None


def _constant_inputs(node: ir.Node) -> bool:
    given = [value for value in node.inputs if value is not None]
    known = all(constant(value) is not None for value in given)
    return known and not has_body(node) and node.domain in ("", "ai.onnx")


def _evaluate(node: ir.Node, opset: int) -> list[Array]:
    names = [value.name or "" for value in node.inputs if value is not None]
    tensors = [constant(value) for value in node.inputs if value is not None]
    feeds = {
        name: tensor.numpy()
        for name, tensor in zip(names, tensors, strict=True)
        if tensor is not None
    }
    evaluator = ReferenceEvaluator(ir.to_proto(node), opsets={"": opset})
    return list(evaluator.run(None, feeds))
