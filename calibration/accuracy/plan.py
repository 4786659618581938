"""Quantization plans: immutable descriptions of one way to quantize a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from kexport.calibration.accuracy.macs import count_macs, macs_share
from kexport.calibration.algorithms.bias_correction import OutputShift, correct_bias
from kexport.calibration.metrics import Quality
from kexport.calibration.quantizer.qparams import QuantizedWeights
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.ranges import Range


@dataclass(frozen=True, slots=True)
class QuantizationPlan:
    """A float model with everything that decides how it is quantized."""

    floating: ir.Model
    """The float32 model to quantize: the original, or the equalized one."""
    ranges: Mapping[str, Range]
    shifts: tuple[OutputShift, ...] = ()
    """The output shifts of the layers that bias correction removes."""
    weights: Mapping[str, QuantizedWeights] = field(default_factory=dict)
    """Weights that GPTQ has rounded, by node name."""
    floats: frozenset[str] = frozenset()
    """Nodes that could be quantized and stay in float (mixed precision)."""

    def quantize(self, scheme: Scheme) -> ir.Model:
        """Build the quantized model."""
        corrections = {shift.node: shift.correction for shift in self.shifts}
        floating = correct_bias(corrections)(self.floating)
        return scheme.quantize(floating, self.ranges, self.floats, self.weights)

    def int8_share(self, scheme: Scheme) -> float:
        """Compute the share of the MACs that the plan leaves in int8."""
        return macs_share(self.floating, scheme.place(self.floating, self.floats).nodes)

    def float_summary(self) -> str:
        """Describe the nodes in float: "3 elementwise nodes and 1 layer in float"."""
        chosen = [node for node in self.floating.graph if node.name in self.floats]
        layers = sum(bool(count_macs(node)) for node in chosen)
        counts = (("elementwise node", len(chosen) - layers), ("layer", layers))
        parts = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts if count]
        return f"{' and '.join(parts)} in float"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan, its quantized model, and the measured quality of that model."""

    plan: QuantizationPlan
    model: ir.Model
    quality: Quality
