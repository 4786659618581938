"""Manifest entries about a quantized model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from kexport.calibration.accuracy.control import QuantizedModel
from kexport.calibration.accuracy.latency import Speed
from kexport.calibration.accuracy.macs import count_macs, macs_share
from kexport.calibration.metrics import Quality
from kexport.calibration.quantizer.scheme import Scheme

SENSITIVE = "the gate: it gains most for what it costs in float"
"""The recorded reason of a node that mixed precision left in float."""


def entries(quantized: QuantizedModel, scheme: Scheme, model: ir.Model) -> dict[str, Any]:
    """Build the entries of `quantization` that describe what was done to the float32 `model`."""
    floats = quantized.plan.floats
    nodes = scheme.place(model, floats).nodes
    return {
        "multiply_adds_int8": macs_share(model, nodes),
        "steps": [
            {"name": step.name, **quality_entry(step.quality), "kept": step.kept}
            for step in quantized.steps
        ],
        "layers": [{"node": shift.node, "sqnr": _finite(shift.sqnr)} for shift in quantized.shifts],
        "float_nodes": list(_float_nodes(model, nodes, floats, scheme.float_reason)),
    }


def quality_entry(quality: Quality) -> dict[str, float | None]:
    """Build the entry of a quality; `value` is the measure of a task other than classify."""
    found = {
        "sqnr": _finite(quality.sqnr),
        "agreement": quality.agreement,
        "top1": quality.top1,
        "top5": quality.top5,
    }
    return found if quality.measured is None else {**found, "value": quality.measured.value}


def speed_entry(speed: Speed | None) -> dict[str, float] | None:
    """Build the entry of a speed measurement."""
    if speed is None:
        return None
    return {"float_ms": round(speed.float_ms, 3), "int8_ms": round(speed.int8_ms, 3)}


def _finite(ratio: float) -> float | None:
    """Round an SQNR to a hundredth; None where the noise or the signal is zero."""
    return round(ratio, 2) if math.isfinite(ratio) else None


def _float_nodes(
    model: ir.Model, int8_nodes: frozenset[str], floats: frozenset[str], otherwise: str
) -> Iterator[dict[str, str]]:
    """Yield the nodes with MACs that stay in float, and all that mixed precision chose."""
    for node in model.graph:
        name = node.name or ""
        if name in floats or (count_macs(node) and name not in int8_nodes):
            yield {"node": name, "reason": SENSITIVE if name in floats else otherwise}
