"""Samples for a graph of any number of inputs, and their batches by input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples: an array for each input by name, batch first, as the graph takes them."""

    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, rows: slice) -> Rows:
        return Rows({name: array[rows] for name, array in self.arrays.items()})


Inputs = Array | Rows
"""Samples; a bare array is those of a graph of one input."""

BatchesByInput = Sequence[Array] | Mapping[str, Sequence[Array]]
"""Batches, or those of each input by its name."""


def arrays_of(model: ir.Model, inputs: Inputs) -> Mapping[str, Array]:
    """Return the array of each input by its name."""
    if isinstance(inputs, Rows):
        return inputs.arrays
    (given,) = model.graph.inputs
    return {given.name or "": inputs}


def by_value(graph: ir.Graph, batches: BatchesByInput) -> dict[ir.Value, Sequence[Array]]:
    """Return the batches of each input of a graph."""
    if isinstance(batches, Mapping):
        return {value: batches[value.name or ""] for value in graph.inputs}
    (given,) = graph.inputs
    return {given: batches}
