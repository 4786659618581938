"""Correction of the last layer's bias alone: the mean error of the scores, for one run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.plan import QuantizationPlan
from kexport.calibration.algorithms.bias_correction import OutputShift


def with_output_bias(plan: QuantizationPlan, missing: Array) -> QuantizationPlan:
    """Add the mean error of the scores to the bias of the layer that computes them.

    Bias correction of every layer takes a run from layer to layer. Where nodes return to float, the
    corrections of the other layers stay nearly right; those of the nodes themselves, which are for
    rounded weights, do not, and are left out. What remains of the mean error is removed here.

    Args:
        plan: a plan whose shifts were measured with fewer nodes in float.
        missing: the scores of the float model minus those of the quantized one, [N, C].
    """
    layer = _scoring_layer(plan.floating)
    if layer is None:
        return plan
    mean = missing.mean(axis=0, dtype=np.float64)
    held = [shift for shift in plan.shifts if shift.node == layer]
    others = tuple(shift for shift in plan.shifts if shift.node != layer)
    shift = held[0] if held else OutputShift(layer, np.zeros_like(mean), float("inf"))
    return replace(plan, shifts=(*others, replace(shift, correction=shift.correction + mean)))


def without_float_shifts(plan: QuantizationPlan) -> QuantizationPlan:
    """Leave out the corrections of nodes in float, which are for their rounded weights."""
    kept = tuple(shift for shift in plan.shifts if shift.node not in plan.floats)
    return replace(plan, shifts=kept)


def _scoring_layer(model: ir.Model) -> str | None:
    """Find the Gemm that computes the scores, before a Softmax or at the output."""
    node = model.graph.outputs[0].producer()
    if node is not None and node.op_type == "Softmax" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node.name if node is not None and node.op_type == "Gemm" else None
