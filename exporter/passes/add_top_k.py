"""Give the best classes in place of the scores of all."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import numbers
from kexport.graph.passes import Pass

SCORES, INDICES = "scores", "indices"
"""The names of the outputs."""


def top_k(output: str, count: int) -> Pass:
    """A pass that replaces an output [N, classes] by the `count` best of each row, best first.

    `indices` is int64 [N, count], `scores` has the dtype of the output; they stand in its place, in
    that order. Among equal scores the lower index comes first (onnx/docs/Operators.md, TopK).
    """

    @Pass
    def top_k(model: ir.Model) -> None:
        graph = model.graph
        at = [value.name for value in graph.outputs].index(output)
        scores = graph.outputs[at]
        k = numbers(graph, "top_k/k", np.asarray([count], np.int64))
        node = ir.node("TopK", [scores, k], {"axis": -1}, num_outputs=2, name="top_k/TopK")
        for value, name, dtype in zip(
            node.outputs, (SCORES, INDICES), (scores.dtype, ir.DataType.INT64), strict=True
        ):
            value.name = name
            value.type = None if dtype is None else ir.TensorType(dtype)
            value.shape = ir.Shape([(scores.shape or ("batch",))[0], count])
        graph.append(node)
        graph.outputs[at : at + 1] = [node.outputs[1], node.outputs[0]]

    return top_k
