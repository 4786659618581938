"""What a bundle is compared with: golden inputs, Keras' outputs, and the tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kexport.arrays import Array
from kexport.runtime.manifest import GRAPH


@dataclass(frozen=True, slots=True)
class Expected:
    """Outputs that a runtime is compared with, float32, and the largest error allowed.

    The tolerance is in units of the spread of an output: max |runtime - expected| / std(expected).
    """

    outputs: Mapping[str, Array]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Reference:
    """The golden inputs by name, batch first, and what a runtime must give for them."""

    inputs: Mapping[str, Array]
    keras: Expected
    graph: Expected | None = None
    """For int8: the outputs of the quantised graph with every node computed unfused."""

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of golden.npz; the graph's outputs have the prefix GRAPH."""
        graph = {} if self.graph is None else self.graph.outputs
        prefixed = {f"{GRAPH}{name}": array for name, array in graph.items()}
        return {**self.inputs, **self.keras.outputs, **prefixed}

    def measured_names(self) -> list[str]:
        """Return the names under which the manifest lists errors before they are measured."""
        return [name for name in self.arrays() if name not in self.inputs]
