"""Best classes in place of all scores."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import numbers
from kexport.graph.passes import Pass

SCORES, INDICES = "scores", "indices"
"""The names of the outputs."""


def add_top_k(output: str, count: int) -> Pass:
    """Return the pass for the output `output`, [N, classes], and `count` classes."""

    @Pass
    def add_top_k(model: ir.Model) -> None:
        """Replace an output of scores by the best classes, best first.

        Output x ==> Outputs indices, scores of TopK(x, k) on the last axis

        Applies if the best classes are requested (--top-k). `indices` is int64 [N, k], `scores` has
        the dtype of x; they take the place of x, in that order. The program on the device then
        reads k numbers and sorts nothing. Exact: among equal scores the lower index comes first
        (onnx/docs/Operators.md, TopK).
        """
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

    return add_top_k
