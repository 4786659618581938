"""What a measured quantity is taken from: an output, and how a difference of it passes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kexport.parity.tolerance import relative

if TYPE_CHECKING:
    from kexport.parity.reference import Expected
    from kexport.runtime.manifest import Manifest, OutputSpec


@dataclass(frozen=True, slots=True)
class Quantity:
    """A row of `runtime.verify`: the output whose tolerance it has, and the kind of its numbers.

    `factor` is 2 for a ranking, since each of two classes may be off by the tolerance of a score.
    """

    output: str
    kind: str
    factor: float = 1.0

    def tolerance(self, expected: Expected, gaps: Mapping[str, float]) -> float:
        """Return the tolerance in units of the spread of the expected outputs.

        Args:
            expected: the outputs.
            gaps: the largest difference allowed to each output, or to its logits.
        """
        kind = self.kind
        if self.output in expected.logits and "probabilities" not in kind:
            kind = "sigmoid"
        return self.factor * relative(kind, expected.outputs[self.output], gaps[self.output])


def quantity_of(name: str, manifest: Manifest) -> Quantity:
    """Return what the row `name` measures, which has no prefix `GRAPH`."""
    outputs = {output.name: output for output in manifest.outputs}
    output = outputs.get(name)
    if output is None:
        return Quantity(_softmax_of(name, outputs), "log-probabilities")
    if output.kind == "indices":
        scores = next(spec.name for spec in manifest.outputs if spec.kind == "scores")
        return Quantity(scores, output.of or "tensor", 2.0)
    return Quantity(name, output.of or output.kind)


def _softmax_of(name: str, outputs: Mapping[str, OutputSpec]) -> str:
    """Return the output whose logits `runtime.compare.differences` measures under `name`."""
    output = name.removesuffix(".logits")
    if output in outputs:
        return output
    scores = (spec for spec in outputs.values() if spec.kind != "indices")
    return next(spec.name for spec in scores if "probabilities" in (spec.kind, spec.of))
