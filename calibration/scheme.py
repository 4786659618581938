"""A form of INT8: where it quantises, and on which grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from kexport.calibration.grid import Grid
from kexport.calibration.placement import Placement
from kexport.calibration.quantize import quantize
from kexport.calibration.ranges import Range

Place = Callable[[ir.Model, frozenset[str]], Placement]


@dataclass(frozen=True, slots=True)
class Scheme:
    """What one kind of engine runs as integers."""

    place: Place
    grid: Callable[[Range], Grid]
    levels: int = 127
    """The largest integer of a weight: 127, or 63 where products of 8 bits would saturate."""

    def tensors(self, model: ir.Model) -> list[str]:
        """The tensors whose ranges `quantise` asks for."""
        return sorted(self.place(model, frozenset()).tensors(model))

    def quantise(
        self, model: ir.Model, ranges: Mapping[str, Range], floats: frozenset[str]
    ) -> ir.Model:
        """`model` with integers wherever this form has them, but for the nodes in `floats`."""
        placement = self.place(model, floats)
        together = {name: name for name in ranges}
        for group in placement.tied:
            together.update(dict.fromkeys(group, min(group)))
        wide: dict[str, Range] = {}
        for name, group_name in together.items():
            held, found = wide.get(group_name), ranges.get(name)
            if found is not None:
                wide[group_name] = found if held is None else held.widened(found)
        grids = {name: self.grid(wide[group]) for name, group in together.items() if group in wide}
        return quantize(placement, grids, self.levels)(model)
