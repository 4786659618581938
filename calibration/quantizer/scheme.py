"""Quantization schemes: where an engine computes in int8, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qdq import insert_qdq
from kexport.calibration.quantizer.qparams import QParams, QuantizedWeights, with_float16_scales
from kexport.calibration.statistics.ranges import Range
from kexport.graph.edit import small
from kexport.graph.passes import Pass

PlaceQuantizers = Callable[[ir.Model, frozenset[str]], Placement]
"""Places the quantizers of a model, whose nodes of the given names stay in float."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The form of int8 that one kind of engine runs."""

    place: PlaceQuantizers
    activation_qparams: Callable[[ir.Value, Range], QParams]
    """Computes the quantization parameters of a tensor that cover a range."""
    finish: tuple[Pass, ...] = ()
    """Passes over the quantized graph: the phase "quantize" of the pipeline."""
    avoid_saturation: bool = False
    """Whether weights are limited to those that cannot saturate 16-bit sums (`saturation`)."""
    float16_scales: bool = False
    """Whether all scales are numbers of float16."""
    float_reason: str = "the engine has no integer kernel for it here"
    """The recorded reason of a node with weights that the scheme leaves in float."""

    def tensors(self, model: ir.Model) -> list[str]:
        """List the tensors whose ranges `quantize` needs."""
        return sorted(self.place(model, frozenset()).tensors(model))

    def quantize(
        self,
        model: ir.Model,
        ranges: Mapping[str, Range],
        floats: frozenset[str],
        weights: Mapping[str, QuantizedWeights] = MappingProxyType({}),
    ) -> ir.Model:
        """Quantize a copy of `model`, except for the nodes in `floats`.

        Args:
            model: the prepared float32 model.
            ranges: the ranges of the tensors that `tensors` lists.
            floats: names of nodes that stay in float.
            weights: weights that are already quantized, by node name.
        """
        placement = self.place(model, floats)
        qparams = self.unified_qparams(model, placement, ranges)
        copy = insert_qdq(
            placement,
            qparams,
            avoid_saturation=self.avoid_saturation,
            float16_scales=self.float16_scales,
            quantized_weights=weights,
        )(model)
        for change in self.finish:
            change.edit(copy)
        return copy

    def unified_qparams(
        self, model: ir.Model, placement: Placement, ranges: Mapping[str, Range]
    ) -> dict[str, QParams]:
        """Compute the parameters of each tensor; a group shares those with the finest scale."""
        values = {value.name or "": value for value in placement.values(model)}
        extents = {name: _range_of(value, ranges) for name, value in values.items()}
        groups = {name: frozenset({name}) for name in values}
        for group in placement.unified:
            present = group.intersection(groups)
            groups.update(dict.fromkeys(present, present))
        found: dict[str, QParams] = {}
        for group in set(groups.values()):
            union, *others = (extents[name] for name in sorted(group))
            for extent in others:
                union = union.union(extent)
            candidates = [self.activation_qparams(values[name], union) for name in sorted(group)]
            chosen = min(candidates, key=lambda qparams: float(qparams.scale))
            chosen = with_float16_scales(chosen) if self.float16_scales else chosen
            found.update(dict.fromkeys(group, chosen))
        return found


def _range_of(value: ir.Value, ranges: Mapping[str, Range]) -> Range:
    array = small(value)
    if array is None:
        return ranges[value.name or ""]
    return Range(min(float(array.min()), 0.0), max(float(array.max()), 0.0))
