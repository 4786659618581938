"""How sharp a proof is: the smallest relative error of weights that it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import onnx_ir as ir
from planted_faults.fault import Rng, array
from planted_faults.weights import KERNELS, RECURRENT
from support import Array

from random_models.judge import Subject, judge, open_session, run
from random_models.layers import KINDS

SMALLEST, LARGEST = 1e-7, 1.0
"""Relative errors between which the limit is looked for."""

STEPS = 10
"""Halvings of the seven decades between them, to 1.6 %."""

PLACES = dict.fromkeys(KERNELS, (1,)) | dict.fromkeys(RECURRENT, (1, 2))
"""Inputs of each operator that are kernels."""

FAMILIES = {kind.name: kind.family for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Place:
    """A kernel in a graph, and the family of the layer that it belongs to."""

    node: str
    name: str
    kernel: Array
    family: str


def places(graph: ir.Model, model: keras.Model) -> Iterator[Place]:
    """Yield the kernels of a graph outside of loops, in its order."""
    classes = {layer.name: type(layer).__name__ for layer in model._flatten_layers()}
    for node in graph.graph:
        for index in PLACES.get(node.op_type, ()):
            kernel, value = array(node, index), node.inputs[index]
            scopes = (node.name or "").split("/")
            known = [classes[scope] for scope in scopes if scope in classes]
            if kernel is not None and value is not None and kernel.any() and known:
                family = FAMILIES.get(known[-1], "other")
                yield Place(node.name or "", value.name or "", kernel, family)


class Kernel:
    """A kernel of a converted model that can be changed, and the proof's verdict on it."""

    def __init__(self, subject: Subject, place: Place) -> None:
        graph = subject.graph.clone()
        graph.graph.inputs.append(graph.graph.initializers[place.name])
        self._subject, self._place, self._session = subject, place, open_session(graph)

    def is_refused(self, kernel: Array) -> bool:
        """Tell whether the proof refuses the graph with other values of the kernel."""
        inputs = {**self._subject.samples.raw, self._place.name: kernel}
        return not judge(self._subject, run(self._session, inputs)).passed

    def limit_of_a_weight(self, rng: Rng) -> float | None:
        """Return the smallest relative error of one weight, drawn, that the proof finds.

        None if the weight may even be twice as large: nothing on the samples depends on it.
        """
        kernel = self._place.kernel
        at = int(rng.choice(np.flatnonzero(kernel)))

        def off(error: float) -> Array:
            changed = kernel.copy()
            changed.flat[at] *= np.float32(1 + error)
            return changed

        return self._limit(off)

    def limit(self) -> float | None:
        """Return the smallest relative error of the whole kernel that the proof finds."""
        return self._limit(lambda error: self._place.kernel * np.float32(1 + error))

    def _limit(self, off: Callable[[float], Array]) -> float | None:
        """Find by bisection the smallest error from which on the graph is refused."""
        if not self.is_refused(off(LARGEST)):
            return None
        low, high = np.log10(SMALLEST), np.log10(LARGEST)
        for _ in range(STEPS):
            middle = (low + high) / 2
            refused = self.is_refused(off(10.0**middle))
            low, high = (low, middle) if refused else (middle, high)
        return float(10.0**high)
