"""Verification of a bundle on the machine that runs it: file hashes, then golden outputs."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .compare import Difference, differences
from .errors import BadInput, BundleRefused
from .golden import read_golden
from .manifest import GOLDEN, GRAPH
from .ort_engine import OrtEngine
from .session import load
from .terminal import printable
from .top_k import expand_top_k

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .manifest import Manifest

VERIFY_THE_ENGINE = (
    "model.onnx ran in ONNX Runtime, whose float16 kernels differ from CPU to CPU; the device runs "
    "the engine, so build and verify that: python build_engine.py --verify"
)
"""Warning for a model.onnx outside the tolerances in a bundle that is meant to run as an engine."""


@dataclass(frozen=True)
class Row:
    """One measured quantity, with the largest spread error that the manifest allows.

    The reference is the output of Keras or, if `name` begins with `manifest.GRAPH`, that of the
    quantised graph.
    """

    name: str
    max_abs: float
    error: float
    tolerance: float
    top1_agreement: float | None

    @property
    def passed(self) -> bool:
        """Whether the spread error is a finite number within the tolerance."""
        return bool(np.isfinite(self.error)) and self.error <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """The result of `verify`: the number of files checked, and a row for each measured quantity.

    `str()` returns a table in plain text, safe to print.
    """

    model: str
    target: str
    engine: str
    files: int
    images: int
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return the verification as JSON data, with None for infinite values."""
        rows = [
            {
                **asdict(row),
                "max_abs": _finite(row.max_abs),
                "error": _finite(row.error),
                "passed": row.passed,
            }
            for row in self.rows
        ]
        return {**asdict(self), "rows": rows, "passed": self.passed}

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        names = [printable(row.name) for row in self.rows]
        width = max(map(len, ["output", *names]))
        lines = [
            f"{self.model} for {self.target}: {verdict}",
            f"{self.files} files match their SHA-256; {self.images} samples on {self.engine}",
            "",
            f"{'output':<{width}}  {'max abs':>9}  {'error':>9}  {'tolerance':>9}  {'top-1':>6}",
        ]
        for name, row in zip(names, self.rows):
            top1 = "-" if row.top1_agreement is None else f"{row.top1_agreement:.1%}"
            lines.append(
                f"{name:<{width}}  {row.max_abs:>9.2e}  {row.error:>9.2e}  "
                f"{row.tolerance:>9.2e}  {top1:>6}  {'ok' if row.passed else 'FAILED'}"
            )
        return "\n".join(map(printable, lines))


def distances(
    manifest: Manifest, given: Mapping[str, NDArray[Any]], golden: Mapping[str, NDArray[Any]]
) -> tuple[Difference, ...]:
    """Measure the difference of outputs from Keras', and from the quantised graph's if recorded.

    The names of the latter rows begin with `manifest.GRAPH`.
    """
    rows: list[Difference] = []
    for prefix in manifest.references:
        answers = {spec.name: golden[prefix + spec.name] for spec in manifest.outputs}
        measured = differences(*expand_top_k(manifest.outputs, given, answers))
        rows += [replace(row, name=prefix + row.name) for row in measured]
    return tuple(rows)


def reference_of(name: str) -> str:
    """Return whose outputs are the reference for a row of this name, as a possessive."""
    return "the quantised graph's" if name.startswith(GRAPH) else "Keras'"


def verify(
    bundle: str | os.PathLike[str], *, threads: int | None = None, engine: str | None = None
) -> Verification:
    """Check a bundle's hashes, run its golden samples, and compare the outputs with Keras'.

    For a quantised bundle, the outputs are also compared with those of its graph, computed node by
    node without fusion. Outputs outside the tolerances raise nothing: the Verification has not
    passed. If those came from model.onnx in a bundle that is meant to run as an engine, a
    RuntimeWarning says so. `threads` and `engine` are as for `load`.

    Raises BundleRefused if a file does not match the manifest or the golden samples do not fit the
    model, EngineMissing if the engine is not installed.
    """
    folder = Path(bundle)
    session = load(folder, threads=threads, engine=engine)
    manifest = session.manifest
    golden = read_golden(folder, manifest)
    inputs = {spec.name: golden[spec.name] for spec in manifest.inputs}
    try:
        outputs = session.run(inputs, fill=True)
    except BadInput as fault:
        raise BundleRefused(f"{GOLDEN} does not fit the model: {fault}") from fault
    rows = tuple(
        Row(**asdict(measured), tolerance=_tolerance(manifest, measured.name))
        for measured in distances(manifest, outputs, golden)
    )
    found = Verification(
        model=manifest.model,
        target=manifest.target,
        engine=session.engine.name,
        files=len(manifest.files),
        images=len(next(iter(inputs.values()))),
        rows=rows,
    )
    if not found.passed and manifest.builds_engine and isinstance(session.engine, OrtEngine):
        warnings.warn(VERIFY_THE_ENGINE, RuntimeWarning, stacklevel=2)
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _tolerance(manifest: Manifest, name: str) -> float:
    if name not in manifest.tolerances:
        raise BundleRefused(f"the manifest states no tolerance for {name!r} in parity.outputs")
    return manifest.tolerances[name]
