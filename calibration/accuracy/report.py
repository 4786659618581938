"""What the manifest says of a quantised model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from kexport.calibration.accuracy.control import Gated
from kexport.calibration.accuracy.latency import Speed
from kexport.calibration.accuracy.macs import multiply_adds, share
from kexport.calibration.metrics import Quality
from kexport.calibration.quantizer.scheme import Scheme

CHOSEN = "the gate: it gains most for what it costs in float"


def entries(gated: Gated, scheme: Scheme, model: ir.Model) -> dict[str, Any]:
    """The parts of the manifest's entry `quantization` that tell what was done to `model`."""
    attempt = gated.attempt
    nodes = scheme.place(model, attempt.floats).nodes
    return {
        "multiply_adds_int8": share(model, nodes),
        "steps": [
            {"name": step.name, **quality_entry(step.quality), "kept": step.kept}
            for step in gated.steps
        ],
        "layers": [{"node": layer.node, "sqnr": _finite(layer.sqnr)} for layer in gated.layers],
        "float_nodes": list(_floats(model, nodes, attempt.floats, scheme.why_float)),
    }


def quality_entry(quality: Quality) -> dict[str, float | None]:
    """A quality as JSON has it."""
    return {
        "sqnr": _finite(quality.sqnr),
        "agreement": quality.agreement,
        "top1": quality.top1,
        "top5": quality.top5,
    }


def speed_entry(speed: Speed | None) -> dict[str, float] | None:
    """A speed as JSON has it."""
    if speed is None:
        return None
    return {"float_ms": round(speed.float_ms, 3), "int8_ms": round(speed.int8_ms, 3)}


def _finite(ratio: float) -> float | None:
    """A ratio to a hundredth; None where there is no noise at all, or no signal."""
    return round(ratio, 2) if math.isfinite(ratio) else None


def _floats(
    model: ir.Model, nodes: frozenset[str], floats: frozenset[str], otherwise: str
) -> Iterator[dict[str, str]]:
    """The nodes with multiply-adds that stay float, and whatever else the gate chose."""
    for node in model.graph:
        name = node.name or ""
        if name in floats or (multiply_adds(node) and name not in nodes):
            yield {"node": name, "reason": CHOSEN if name in floats else otherwise}
