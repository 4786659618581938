"""Probes: a bundle compared with Keras at other sizes than those of its golden inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from kexport.arrays import Array
from kexport.outputs import Output, Ranking
from kexport.parity.keras_outputs import compute
from kexport.parity.quantity import quantity_of
from kexport.runtime.compare import Difference, differences, logits_of, max_abs, unit
from kexport.runtime.errors import BadInput
from kexport.runtime.top_k import expand_top_k
from kexport.runtime.verify import Row

if TYPE_CHECKING:
    from kexport.parity.reference import Expected
    from kexport.parity.samples import Probe
    from kexport.runtime.manifest import Manifest
    from kexport.runtime.session import Session


@dataclass(frozen=True, slots=True)
class AnsweredProbe:
    """A probe's inputs by name, what Keras gives for them, and how near a runtime must come.

    `outputs` is as in `Expected`: under the name of the best scores are the scores of all classes.
    `gaps` are in the units of the outputs; for a softmax, of its logits.
    """

    name: str
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    gaps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ProbeRows:
    """The errors of a bundle on a probe, in units of the spread of the golden outputs."""

    name: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(row.passed for row in self.rows)


def answer(
    model: keras.Model,
    probes: Iterable[Probe],
    outputs: Sequence[Output],
    gaps: Mapping[str, float],
    rounded: Callable[[Mapping[str, Array]], Mapping[str, Array]] | None = None,
) -> list[AnsweredProbe]:
    """Run Keras on each probe.

    Args:
        model: the Keras model.
        probes: the inputs.
        outputs: the model's outputs, before the best classes take the place of all.
        gaps: the largest difference allowed on the golden inputs, by the output's name.
        rounded: for int8, computes the quantised graph unfused on raw inputs. A runtime may then
            be off by twice that graph's own error on the probe, if that is more than `gaps`.
    """
    found = []
    names = [output.name for output in outputs]
    for probe in probes:
        wanted = compute(model, probe.prepared, names).outputs
        own = dict.fromkeys(names, 0.0)
        if rounded is not None:
            given = rounded(probe.raw)
            own = {
                output.name: 2 * max_abs(_told(output, given), _told(output, wanted))
                for output in outputs
            }
        allowed = {name: max(gaps[name], own[name]) for name in names}
        found.append(AnsweredProbe(probe.name, probe.raw, wanted, allowed))
    return found


def ranked(probes: Iterable[AnsweredProbe], ranking: Ranking | None) -> tuple[AnsweredProbe, ...]:
    """Return what is expected of a bundle that returns the best classes; unchanged for None."""
    if ranking is None:
        return tuple(probes)
    return tuple(
        AnsweredProbe(
            probe.name,
            probe.inputs,
            ranking.golden(dict(probe.outputs)),
            ranking.rename(probe.gaps),
        )
        for probe in probes
    )


def measure(
    session: Session, probes: Iterable[AnsweredProbe], expected: Expected
) -> tuple[ProbeRows, ...]:
    """Run a bundle on each probe, and compare the outputs with Keras'.

    Args:
        session: the bundle's runtime. Where it cannot run a probe, that probe has not passed.
        probes: the inputs, and what Keras gives for them.
        expected: Keras' outputs for the golden inputs, whose spread is the unit of all errors: a
            probe of one sample may have none of its own.
    """
    found = []
    for probe in probes:
        rows = tuple(
            _row(measured, session.manifest, probe, expected)
            for measured in _differences(session, probe)
        )
        found.append(ProbeRows(probe.name, rows))
    return tuple(found)


def _differences(session: Session, probe: AnsweredProbe) -> tuple[Difference, ...]:
    outputs = session.manifest.outputs
    try:
        given = session.run(dict(probe.inputs), fill=True)
    except BadInput:
        infinite = float("inf")
        return tuple(Difference(spec.name, infinite, infinite, None) for spec in outputs)
    return differences(*expand_top_k(outputs, given, dict(probe.outputs)))


def _row(found: Difference, manifest: Manifest, probe: AnsweredProbe, expected: Expected) -> Row:
    """Return a row with the units of the golden outputs."""
    quantity = quantity_of(found.name, manifest)
    golden = expected.outputs[quantity.output]
    recovered = quantity.kind == "log-probabilities"
    error = found.max_abs / unit(logits_of(golden) if recovered else golden)
    tolerance = quantity.tolerance(expected, probe.gaps)
    return Row(found.name, found.max_abs, error, tolerance, found.top1_agreement)


def _told(output: Output, answers: Mapping[str, Any]) -> Array:
    """Return the numbers that tell errors of an output: for a softmax, its logits."""
    array = answers[output.name]
    return logits_of(array) if output.kind == "probabilities" else array
