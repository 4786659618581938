"""Recurrent layers step by step: a Scan, whose body applies the mask as Keras does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.cell_steps import Stepwise
from kexport.conversion.rules.recurrent_result import Request, Result
from kexport.conversion.scan import scan, zeros
from kexport.conversion.tensor import Tensor, as_keras


def run(
    g: Graph, cell: Any, form: Stepwise, request: Request, x: Tensor, states: Sequence[Tensor]
) -> Result:
    """Emit a Scan of a cell over `x`, [batch, time, ...].

    A masked step leaves the states as they are and repeats the output before it, or gives zeros;
    before the first step the output is zero (keras.src.backend.tensorflow.rnn).
    """
    order = (0, 1, *(axis + 1 for axis in form.order[1:]))
    x = Tensor(g.stored(x, order), order)
    shapes = [form.output] if states else [form.output, *form.states]
    blank = {shape: zeros(g, shape, x, form.order) for shape in dict.fromkeys(shapes)}
    initial = [Tensor(g.stored(s, form.order), form.order) for s in states]
    initial = initial or [blank[shape] for shape in form.states]

    def step(carried: list[Tensor], steps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        *old, before = carried
        y, new = form.step(g, cell, steps[0], old)
        y = Tensor(g.stored(y, form.order), form.order)
        if request.mask is not None:
            wide = _broadcast(g, steps[1], y.rank)
            blanked = g.floats(0.0, "zero", y.value) if request.zeroed else before.value
            y = Tensor(g.op("Where", wide, y.value, blanked), form.order)
            new = [
                Tensor(g.op("Where", wide, g.stored(s, form.order), o.value), form.order)
                for s, o in zip(new, old, strict=True)
            ]
        return [*new, y], [y] if request.sequence else []

    scanned = [x] if request.mask is None else [x, _bool(g, request.mask)]
    final, made = scan(
        g, step, [*initial, blank[form.output]], scanned, backwards=request.backwards
    )
    return Result(made[0] if made else None, final[-1], final[:-1])


def _bool(g: Graph, mask: Tensor) -> Tensor:
    if mask.value.dtype == ir.DataType.BOOL:
        return mask
    return Tensor(g.op("Cast", mask.value, to=ir.DataType.BOOL), mask.order)


def _broadcast(g: Graph, mask: Tensor, rank: int) -> ir.Value:
    """Give a mask [batch] as many axes as what it masks."""
    axes = g.integers(list(as_keras(rank)[1:]), "axes")
    return g.op("Unsqueeze", mask.value, axes)
