"""Reductions of keras.ops, in the order in which a tensor is stored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.floats import Rule, on_floats
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


def reduction(op_type: str) -> Rule:
    """A rule for mean, max, min, sum or prod over some axes or all, with or without `keepdims`."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        if getattr(operation, "initial", None) is not None:
            raise NoRule("a value to begin with")
        axes = _axes(operation.axis, x.rank)
        stored = g.integers(sorted(x.axis(axis) for axis in axes), "axes")
        y = g.op(op_type, x.value, stored, keepdims=int(operation.keepdims))
        return Tensor(y, x.order if operation.keepdims else without(x.order, axes))

    return on_floats(rule)


def without(order: tuple[int, ...], axes: Collection[int]) -> tuple[int, ...]:
    """The order that is left when the Keras `axes` are gone and the others renumbered."""
    kept = [axis for axis in order if axis not in axes]
    return tuple(sorted(kept).index(axis) for axis in kept)


def _axes(axis: Any, rank: int) -> list[int]:
    if axis is None:
        return list(range(rank))
    return [each % rank for each in ([axis] if isinstance(axis, int) else axis)]
