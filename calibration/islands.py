"""Which nodes lose most when they are quantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.operations import multiply_adds
from kexport.calibration.ranges import Range
from kexport.calibration.scheme import Scheme

Array = np.ndarray[Any, Any]


def by_sensitivity(
    model: ir.Model,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    scores: Callable[[ir.Model], Array],
) -> list[str]:
    """The nodes with weights, first those whose float form buys most for its multiply-adds.

    Each is quantised alone, and the mean square by which that moves the scores is divided by the
    node's multiply-adds (per-layer sensitivity, as in Nagel et al., "A White Paper on Neural
    Network Quantization", 2021, section 3.6).
    """
    names = weighty(model, scheme)
    exact = scores(model).astype(np.float64)
    worth = {}
    for name in names:
        others = frozenset(names) - {name}
        alone = scores(scheme.quantise(model, ranges, others))
        worth[name] = float(np.mean(np.square(alone - exact))) / _cost(model)[name]
    return sorted(names, key=lambda name: -worth[name])


def weighty(model: ir.Model, scheme: Scheme) -> Sequence[str]:
    """The nodes that the scheme quantises and that have weights, in the graph's order."""
    placed = scheme.place(model, frozenset()).nodes
    costs = _cost(model)
    return [name for name in costs if name in placed and costs[name]]


def _cost(model: ir.Model) -> dict[str, int]:
    return {node.name or "": multiply_adds(node) for node in model.graph}
