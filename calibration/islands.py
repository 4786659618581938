"""Which nodes lose most when they are quantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.operations import multiply_adds
from kexport.calibration.progress import Progress
from kexport.calibration.ranges import Range
from kexport.calibration.scheme import Scheme

Array = np.ndarray[Any, Any]


def by_sensitivity(
    model: ir.Model,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    scores: Callable[[ir.Model], Array],
    progress: Progress,
) -> list[str]:
    """The nodes with weights, first those whose float form buys most for its multiply-adds.

    Each is quantised alone, and the mean square by which that moves the scores is divided by the
    node's multiply-adds (per-layer sensitivity, as in Nagel et al., "A White Paper on Neural
    Network Quantization", 2021, section 3.6).
    """
    costs = {node.name or "": multiply_adds(node) for node in model.graph}
    placed = scheme.place(model, frozenset()).weights
    names = [name for name, cost in costs.items() if name in placed and cost]
    exact = scores(model).astype(np.float64)
    worth = {}
    for done, name in enumerate(names, 1):
        alone = scores(scheme.quantise(model, ranges, frozenset(names) - {name}))
        worth[name] = float(np.mean(np.square(alone - exact))) / costs[name]
        progress(done, len(names))
    return sorted(names, key=lambda name: -worth[name])
