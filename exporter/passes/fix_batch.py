"""Fix the batch, or leave it open under one name."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir


def fix_batch(batch: int | None) -> Callable[[ir.Model], ir.Model]:
    """A pass that sets the first axis of every input to `batch`, or leaves it open for None.

    Inputs that have a fixed batch of their own keep it.
    """

    def fix_batch(model: ir.Model) -> ir.Model:
        model = model.clone()
        for value in model.graph.inputs:
            if value.shape is not None and not isinstance(value.shape[0], int):
                first = "batch" if batch is None else batch
                value.shape = ir.Shape([first, *list(value.shape)[1:]])
        return model

    return fix_batch
