"""What a bundle is compared with: golden inputs, Keras' outputs, and the differences allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kexport.arrays import Array
from kexport.outputs import Output, Ranking
from kexport.parity.probes import AnsweredProbe
from kexport.parity.samples import Samples
from kexport.runtime.compare import logits_of, spread
from kexport.runtime.manifest import GRAPH


@dataclass(frozen=True, slots=True)
class Expected:
    """Outputs that a runtime is compared with, float32, and what is known about them.

    All are by the output's name. Under that of the best scores are the scores of all classes.
    """

    outputs: Mapping[str, Array]
    gaps: Mapping[str, float]
    """The largest difference allowed, in units of the output; of its logits where it has some."""
    logits: Mapping[str, Array] = field(default_factory=dict)
    """The logits before a softmax or sigmoid, where they are to be compared as well."""
    noise: Mapping[str, float] = field(default_factory=dict)
    """The rounding noise relative to the spread of the output, or of its logits."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The golden inputs, and what a runtime must give for them."""

    samples: Samples
    keras: Expected
    graph: Expected | None = None
    """For int8: the outputs of the quantised graph with every node computed unfused."""
    probes: tuple[AnsweredProbe, ...] = ()
    """Inputs of other sizes, which are not stored in golden.npz."""

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The golden inputs by name, batch first."""
        return self.samples.raw

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of golden.npz; the graph's outputs have the prefix GRAPH."""
        graph = {} if self.graph is None else self.graph.outputs
        prefixed = {f"{GRAPH}{name}": array for name, array in graph.items()}
        return {**self.inputs, **self.keras.outputs, **prefixed}

    def measured_names(self) -> list[str]:
        """Return the names under which the manifest lists errors before they are measured."""
        return [name for name in self.arrays() if name not in self.inputs]


def within(shown: Iterable[Output], outputs: Mapping[str, Array], tolerance: float) -> Expected:
    """Return outputs from which each may differ by `tolerance` of its spread.

    For a softmax it is the spread of the logits taken back from its probabilities.
    """
    quantities = {
        output.name: logits_of(outputs[output.name])
        if output.kind == "probabilities"
        else outputs[output.name]
        for output in shown
    }
    return Expected(
        outputs, {name: tolerance * spread(array) for name, array in quantities.items()}
    )


def ranked(expected: Expected, ranking: Ranking | None) -> Expected:
    """Return what is expected of a bundle that returns the best classes; unchanged for None."""
    if ranking is None:
        return expected
    return Expected(
        ranking.golden(expected.outputs),
        ranking.rename(expected.gaps),
        ranking.rename(expected.logits),
        ranking.rename(expected.noise),
    )
