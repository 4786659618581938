"""Parity: Keras and the bundle's own runtime, compared on the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kexport import runtime
from kexport.errors import ParityFailed
from kexport.parity import probes
from kexport.parity.graph_logits import read_logits
from kexport.parity.probes import ProbeRows
from kexport.parity.quantity import quantity_of
from kexport.parity.reference import Reference
from kexport.parity.tolerance import CEILING, relative
from kexport.runtime.compare import differences
from kexport.runtime.manifest import GRAPH, Manifest
from kexport.runtime.verify import Row, distances, reference_of

UNMEASURED = float(np.finfo(np.float64).max)
"""Error of an output that was not measured, or is not finite; no tolerance is as large."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Errors of a bundle's outputs, over `images` samples.

    An int8 bundle is measured against Keras and against its unfused graph, as in `runtime.verify`.
    """

    images: int
    rows: tuple[Row, ...]
    """What `runtime.verify` measures as well."""
    before_activation: tuple[Row, ...] = ()
    """The logits of softmaxes and sigmoids, read where the graph computes them, by the output's
    name."""
    noise: Mapping[str, float] = field(default_factory=dict)
    """The rounding noise of each output relative to its spread; of its logits where it has some."""

    probes: tuple[ProbeRows, ...] = ()
    """The outputs at other sizes."""

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        within = all(row.passed for row in (*self.rows, *self.before_activation))
        return within and all(probe.passed for probe in self.probes)

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entry `parity`."""
        return {
            "images": self.images,
            "passed": self.passed,
            "outputs": _entries(self.rows),
            "before_activation": _entries(self.before_activation),
            "noise": {name: _json_number(value) for name, value in self.noise.items()},
            "probes": {probe.name: _entries(probe.rows) for probe in self.probes},
        }


def measure(bundle: Path, reference: Reference) -> Parity:
    """Run a bundle through its runtime on the golden inputs, and compare the outputs.

    The logits of a softmax or sigmoid are also compared where they are computed, in a copy of the
    graph.

    Args:
        bundle: a folder with a manifest; the hashes of its files are not checked.
        reference: what to compare with. Under the name of the best scores it holds the scores of
            all classes.
    """
    session = runtime.load(bundle, check=False, engine="onnxruntime")
    given = session.run(dict(reference.inputs), fill=True)
    rows = tuple(
        Row(**asdict(found), tolerance=_tolerance(session.manifest, reference, found.name))
        for found in distances(session.manifest, given, reference.arrays())
    )
    inner = _before_activation(bundle, session.manifest, reference)
    count = len(next(iter(reference.inputs.values())))
    other = probes.measure(session, reference.probes, reference.keras)
    return Parity(count, rows, inner, reference.keras.noise, other)


def _before_activation(bundle: Path, manifest: Manifest, reference: Reference) -> tuple[Row, ...]:
    expected = reference.keras
    given = read_logits(bundle, manifest, expected.logits, reference.inputs)
    return tuple(
        Row(
            **asdict(row),
            tolerance=relative("logits", expected.logits[row.name], expected.gaps[row.name]),
        )
        for row in differences(dict.fromkeys(given, "logits"), given, expected.logits)
    )


def _tolerance(manifest: Manifest, reference: Reference, name: str) -> float:
    """Return the tolerance of the row `name` of `runtime.verify`, in units of its own spread."""
    expected = reference.keras
    if name.startswith(GRAPH) and reference.graph is not None:
        expected = reference.graph
    return quantity_of(name.removeprefix(GRAPH), manifest).tolerance(expected, expected.gaps)


def pending(names: Sequence[str], images: int) -> dict[str, Any]:
    """Return the entry `parity` of a manifest before anything is measured: not passed."""
    blank = {
        "max_abs": UNMEASURED,
        "error": UNMEASURED,
        "tolerance": 0.0,
        "top1_agreement": None,
    }
    return {"images": images, "passed": False, "outputs": dict.fromkeys(names, blank)}


def require(parity: Parity, kept: str) -> None:
    """Raise unless parity passed; `kept` says where the rejected files are.

    Raises:
        ParityFailed: naming the output whose error is the largest.
    """
    if parity.passed:
        return
    outside = [(row, "") for row in parity.rows if not row.passed]
    inside = [(row, " before its activation") for row in parity.before_activation if not row.passed]
    other = [
        (row, f" at {probe.name}")
        for probe in parity.probes
        for row in probe.rows
        if not row.passed
    ]
    worst, where = max((*outside, *inside, *other), key=lambda found: found[0].error)
    raise ParityFailed(
        f"output {worst.name!r}{where} is {worst.error:.2g} of its spread away from "
        f"{reference_of(worst.name)} on {parity.images} samples; {worst.tolerance:g} is allowed"
        + _conditioning(parity.noise),
        hint=f"nothing was published; {kept}",
    )


def _conditioning(noise: Mapping[str, float]) -> str:
    """Say where rounding alone makes a model's outputs uncertain."""
    largest = max(noise.values(), default=0.0)
    if largest < CEILING / 10:
        return ""
    return (
        f" (the model is badly conditioned: changing its numbers by one unit in the last place "
        f"moves Keras' own output by {largest:.2g} of its spread)"
    )


def _entries(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    return {
        row.name: {
            "max_abs": _json_number(row.max_abs),
            "error": _json_number(row.error),
            "tolerance": row.tolerance,
            "top1_agreement": row.top1_agreement,
        }
        for row in rows
    }


def _json_number(value: float) -> float:
    """Return a finite number: JSON has no infinity, so the largest float64 replaces it."""
    return float(min(value, np.finfo(np.float64).max)) if value == value else UNMEASURED
