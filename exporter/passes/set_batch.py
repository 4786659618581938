"""Batch size of the graph: fixed, or open under one name."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.bodies import graphs
from kexport.graph.passes import Pass


def set_batch(batch: int | None) -> Pass:
    """Return the pass for a batch size; None leaves the batch open."""
    first = "batch" if batch is None else batch

    @Pass
    def set_batch(model: ir.Model) -> None:
        """Set the first axis of every input to the batch size, or leave it open as "batch".

        Input [?, ...] ==> Input [batch, ...]

        Applies to inputs whose first axis is open, and to all values with an axis of the same name;
        `infer_shapes` finds the others. Engines compute shapes in advance for a fixed batch. Exact.
        """
        graph = model.graph
        open_names = set()
        for value in graph.inputs:
            dims = list(value.shape or ())
            if dims and not isinstance(dims[0], int):
                open_names.add(dims[0].value)
                value.shape = ir.Shape([first, *dims[1:]])
        open_names -= {None, first}
        for part in graphs(graph):
            within = [] if part is graph else part.inputs
            for value in (*within, *(value for node in part for value in node.outputs)):
                _rename(value, open_names, first)

    return set_batch


def _rename(value: ir.Value, names: set[str | None], batch: int | str) -> None:
    shape = value.shape
    if shape is not None and any(_named(dim, names) for dim in shape):
        value.shape = ir.Shape([batch if _named(dim, names) else dim for dim in shape])


def _named(dim: int | ir.SymbolicDim, names: set[str | None]) -> bool:
    return not isinstance(dim, int) and dim.value in names
