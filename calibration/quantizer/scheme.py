"""A form of INT8: where it quantises, and on which grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qdq import quantize
from kexport.calibration.quantizer.qparams import QParams, QuantizedWeights, in_float16
from kexport.calibration.statistics.ranges import Range
from kexport.graph.edit import small
from kexport.graph.passes import Pass

Place = Callable[[ir.Model, frozenset[str]], Placement]


@dataclass(frozen=True, slots=True)
class Scheme:
    """What one kind of engine runs as integers."""

    place: Place
    grid: Callable[[ir.Value, Range], QParams]
    """The grid of a tensor that covers a range."""
    finish: tuple[Pass, ...] = ()
    """Passes over the quantized graph: the phase "quantize" of the pipeline."""
    paired: bool = False
    """Whether weights are held to `pairs.of_pairs`."""
    half_scales: bool = False
    """Whether all scales are numbers that float16 holds."""
    why_float: str = "the engine has no integer kernel for it here"
    """Why a node that has weights is not placed, unless it is told to stay float."""

    def tensors(self, model: ir.Model) -> list[str]:
        """The tensors whose ranges `quantize` asks for."""
        return sorted(self.place(model, frozenset()).tensors(model))

    def quantize(
        self,
        model: ir.Model,
        ranges: Mapping[str, Range],
        floats: frozenset[str],
        rounded: Mapping[str, QuantizedWeights] = MappingProxyType({}),
    ) -> ir.Model:
        """`model` with integers wherever this form has them, but for the nodes in `floats`.

        `rounded` are weights that are integers already, by the node's name.
        """
        placement = self.place(model, floats)
        grids = self._grids(model, placement, ranges)
        copy = quantize(
            placement, grids, paired=self.paired, half=self.half_scales, rounded=rounded
        )(model)
        for change in self.finish:
            change.edit(copy)
        return copy

    def _grids(
        self, model: ir.Model, placement: Placement, ranges: Mapping[str, Range]
    ) -> dict[str, QParams]:
        """A grid for each tensor, of the finest scale in its group, where they are tied."""
        values = {value.name or "": value for value in placement.values(model)}
        extents = {name: _extent(value, ranges) for name, value in values.items()}
        groups = {name: frozenset({name}) for name in values}
        for group in placement.tied:
            held = group.intersection(groups)
            groups.update(dict.fromkeys(held, held))
        grids: dict[str, QParams] = {}
        for group in set(groups.values()):
            first, *others = (extents[name] for name in sorted(group))
            for extent in others:
                first = first.widened(extent)
            candidates = [self.grid(values[name], first) for name in sorted(group)]
            chosen = min(candidates, key=lambda grid: float(grid.scale))
            chosen = in_float16(chosen) if self.half_scales else chosen
            grids.update(dict.fromkeys(group, chosen))
        return grids


def _extent(value: ir.Value, ranges: Mapping[str, Range]) -> Range:
    held = small(value)
    if held is None:
        return ranges[value.name or ""]
    return Range(min(float(held.min()), 0.0), max(float(held.max()), 0.0))
