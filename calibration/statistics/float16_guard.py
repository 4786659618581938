"""Float16 guard: the nodes whose values exceed the range or precision of float16."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.calibration.statistics.abs_max import Extent
from kexport.graph.roles import Role, role_of

LARGEST = float(np.finfo(np.float16).max)
"""65504, the largest finite float16."""

HEADROOM = 4.0
"""Safety factor on observed values: a value may be four times as large and still be finite."""

WIDE_OPERATORS = frozenset(
    {"CumSum", "Exp", "LogSoftmax", "Pow", "ReduceL1", "ReduceL2", "ReduceLogSum"}
    | {"ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax"}
    | {"Sqrt"}
)
"""Operators that lose too much precision in float16, or whose sums leave it: long sums, squares and
exponentials."""

SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
"""2^-24; float16 rounds what is not above half of it to zero."""

SENSITIVE_TO_ZERO = frozenset({"Div", "Log", "Pow", "Reciprocal", "Sqrt"})
"""Operators that a small constant, such as an epsilon, is there to keep from zero."""

SUMMING = frozenset({"AveragePool", "GlobalAveragePool"})
"""Operators that may sum all elements before they divide."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A node that stays in float32, and the reason."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Largest:
    """The tensor with the largest finite |value|."""

    tensor: str
    value: float


@dataclass(frozen=True, slots=True)
class Guard:
    """The observations before a graph was converted to float16; empty where it was not."""

    kept: tuple[Kept, ...] = ()
    largest: Largest | None = None


def guard(model: ir.Model, extents: Mapping[str, Extent]) -> Guard:
    """Find the nodes of a float32 model that stay float32, and its largest finite value.

    The value is rounded to four digits, so that it is the same on every machine.
    """
    finite = {name: extent.largest for name, extent in extents.items()}
    finite = {name: value for name, value in finite.items() if math.isfinite(value)}
    tensor = max(finite, key=lambda name: finite[name], default=None)
    largest = None if tensor is None else Largest(tensor, float(f"{finite[tensor]:.4g}"))
    return Guard(keep_float32(model, extents), largest)


def keep_float32(model: ir.Model, extents: Mapping[str, Extent]) -> tuple[Kept, ...]:
    """List the nodes of a float32 model that must stay float32, in graph order.

    A node stays in float32 if it is one of `WIDE_OPERATORS`, if a tensor that it reads or writes
    comes within `HEADROOM` of the largest float16, if a weight exceeds that, if the sum of an
    average does, or if it computes the sampling coordinates of a resize. So does one that reads a
    constant which float16 rounds to zero, with the quotients that the constant keeps from zero.
    """
    guarded = _guarded_from_zero(model.graph)
    kept = []
    for node in model.graph:
        reason = _reason(node, extents) or guarded.get(node, "")
        if reason:
            kept.append(Kept(node.name or "", reason))
    return tuple(kept)


def _guarded_from_zero(graph: ir.Graph) -> dict[ir.Node, str]:
    """Find nodes with an epsilon below float16, and those that would divide by zero without it."""
    found: dict[ir.Node, str] = {}
    for node in graph:
        vanishing = next(filter(None, map(_vanishing, node.inputs)), None)
        if vanishing is not None:
            found[node] = f"float16 rounds {vanishing:.4g} to zero"
        for value in node.inputs:
            maker = None if value is None else value.producer()
            passed_on = maker in found and maker.op_type not in ("Div", "Reciprocal")
            if maker is not None and passed_on and node.op_type in SENSITIVE_TO_ZERO:
                found.setdefault(node, found[maker])
    return found


def _vanishing(value: ir.Value | None) -> float | None:
    """Return a constant of one number that float16 rounds to zero; None for all others."""
    tensor = None if value is None else value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size != 1:
        return None
    number = abs(float(tensor.numpy().reshape(())))
    return number if 0 < number <= SMALLEST / 2 else None


def _reason(node: ir.Node, extents: Mapping[str, Extent]) -> str:
    if node.op_type in WIDE_OPERATORS:
        return f"{node.op_type} in float16 loses digits that the result needs"
    limit = LARGEST / HEADROOM
    for value in [*node.inputs, *node.outputs]:
        largest = _largest(value, extents)
        if not largest <= limit:
            return f"{value.name if value else ''} reaches {largest:.4g} of 65504"
    if node.op_type in SUMMING:
        total = _largest(node.outputs[0], extents) * _summed_elements(node)
        if not total <= LARGEST:
            return f"the sum of the average reaches {total:.4g} of 65504"
    if role_of(node) is Role.COORDINATES:
        return "float16 does not tell one pixel from the next"
    return ""


def _largest(value: ir.Value | None, extents: Mapping[str, Extent]) -> float:
    if value is None or value.dtype != ir.DataType.FLOAT:
        return 0.0
    if value.const_value is not None:
        numbers = value.const_value.numpy()
        finite = numbers[np.isfinite(numbers)]  # an infinity is as good in float16
        return float(np.abs(finite).max()) if finite.size else 0.0
    extent = extents.get(value.name or "")
    return 0.0 if extent is None else extent.largest


def _summed_elements(node: ir.Node) -> int:
    if node.op_type == "AveragePool":
        return math.prod(node.attributes["kernel_shape"].as_ints())
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    return math.prod(dim for dim in list(shape or ())[2:] if isinstance(dim, int))
