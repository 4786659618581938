"""Prove a bundle again where it lies: its hashes, then its golden outputs."""

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
from .top_k import unranked

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .manifest import Manifest

ENGINE_COUNTS = (
    "model.onnx ran in ONNX Runtime, whose float16 kernels differ from CPU to CPU; on the device "
    "the engine counts, so build it, and verify it: python build_engine.py --verify"
)
"""Said where model.onnx strays, but an engine is to be built of it."""


@dataclass(frozen=True)
class Row:
    """One measured quantity, with the largest spread error that the manifest allows it.

    It is measured against Keras, or, where `name` begins with `manifest.GRAPH`, against what the
    quantised graph gives.
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
    """What `verify` found: files with the right hashes, and a row for each measured quantity.

    `str()` gives a table in plain text, safe to print.
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
        """Return the verification as JSON takes it, with None for what is infinite."""
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
    """How far outputs lie from Keras', and from the quantised graph's where the bundle has those.

    The names of the latter begin with `manifest.GRAPH`.
    """
    rows: list[Difference] = []
    for prefix in manifest.references:
        answers = {spec.name: golden[prefix + spec.name] for spec in manifest.outputs}
        measured = differences(*unranked(manifest.outputs, given, answers))
        rows += [replace(row, name=prefix + row.name) for row in measured]
    return tuple(rows)


def reference_of(name: str) -> str:
    """Whose answers a row of this name is measured against."""
    return "the quantised graph's" if name.startswith(GRAPH) else "Keras'"


def verify(
    bundle: str | os.PathLike[str], *, threads: int | None = None, engine: str | None = None
) -> Verification:
    """Check a bundle's hashes, run its golden samples, and compare with what Keras gave for them.

    A quantised bundle's are compared with what its graph gives too, each node computed unfused.
    Outputs that lie too far from either make a Verification that has not passed; they raise
    nothing. Where they are model.onnx's, in a bundle whose engine counts, a RuntimeWarning says so.
    `threads` and `engine` are as for `load`.

    Raises BundleRefused where a file is not what the manifest says or the golden file does not fit
    the model, EngineMissing where the engine is not installed.
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
        warnings.warn(ENGINE_COUNTS, RuntimeWarning, stacklevel=2)
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _tolerance(manifest: Manifest, name: str) -> float:
    if name not in manifest.tolerances:
        raise BundleRefused(f"the manifest states no tolerance for {name!r} in parity.outputs")
    return manifest.tolerances[name]
