"""Parity: Keras and the bundle's own runtime, compared on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kexport import runtime
from kexport.arrays import Array
from kexport.errors import ParityFailed
from kexport.keras_graph import structured
from kexport.parity.reference import Reference
from kexport.runtime.compare import logits_of
from kexport.runtime.manifest import GRAPH, OutputSpec
from kexport.runtime.verify import Row, distances, reference_of

TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest error allowed by precision: max |runtime - keras| / std(keras)."""

RESOLUTION = 3 * float(np.finfo(np.float32).eps)
"""Largest difference that rounding alone makes between the logits of two float32 softmaxes. A good
exp is wrong by less than one unit in the last place (relative error eps), the division by half of
one, and log p changes by as much, in both softmaxes. The sum's error is equal for all classes."""

FLAT = 1e-2
"""Upper limit of what RESOLUTION adds to a tolerance, for models whose classes hardly differ."""

UNMEASURED = float(np.finfo(np.float64).max)
"""Error of an output that was not measured, or is not finite; no tolerance is as large."""

AT_ONCE = 2
"""Batch size in Keras, which bounds the memory that large models need."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Errors of a bundle's outputs, over `images` samples.

    An int8 bundle is measured against Keras and against its unfused graph, as in `runtime.verify`.
    """

    images: int
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(row.passed for row in self.rows)

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entry `parity`."""
        outputs = {
            row.name: {
                "max_abs": _json_number(row.max_abs),
                "error": _json_number(row.error),
                "tolerance": row.tolerance,
                "top1_agreement": row.top1_agreement,
            }
            for row in self.rows
        }
        return {"images": self.images, "passed": self.passed, "outputs": outputs}


def reference(
    model: keras.Model, inputs: Sequence[Array], names: Sequence[str], at_once: int = AT_ONCE
) -> dict[str, Array]:
    """Run Keras; return each output by name, float32, in Keras' own layout.

    Args:
        model: the Keras model.
        inputs: one array for each input of the model, already preprocessed, batch first.
        names: the outputs' names, in the order of `keras.tree.flatten`.
        at_once: the batch size.
    """
    parts = []
    for start in range(0, len(inputs[0]), at_once):
        batch = [array[start : start + at_once] for array in inputs]
        outputs = keras.tree.flatten(model(structured(model, batch), training=False))
        parts.append([keras.ops.convert_to_numpy(output) for output in outputs])
    joined = (np.concatenate(arrays).astype(np.float32) for arrays in zip(*parts, strict=True))
    return dict(zip(names, joined, strict=True))


def measure(bundle: Path, reference: Reference) -> Parity:
    """Run a bundle through its runtime on the golden inputs, and compare the outputs.

    Args:
        bundle: a folder with a manifest; the hashes of its files are not checked.
        reference: what to compare with. Under the name of the best scores it holds the scores of
            all classes.
    """
    session = runtime.load(bundle, check=False, engine="onnxruntime")
    given = session.run(dict(reference.inputs), fill=True)
    kinds = {spec.name: _kind(spec) for spec in session.manifest.outputs}
    rows = []
    for found in distances(session.manifest, given, reference.arrays()):
        expected = reference.keras
        if reference.graph is not None and found.name.startswith(GRAPH):
            expected = reference.graph
        name = found.name.removeprefix(GRAPH)
        kind = kinds.get(name, "log-probabilities")
        source = name if name in kinds else _softmax_of(name, kinds)
        limit = _tolerance(kind, expected.outputs[source], expected.tolerance)
        rows.append(Row(**asdict(found), tolerance=limit))
    return Parity(len(next(iter(reference.inputs.values()))), tuple(rows))


def _kind(spec: OutputSpec) -> str:
    """Return the kind that an output is measured as; for the best scores, that of their source."""
    return spec.of or spec.kind if spec.kind == "scores" else spec.kind


def _softmax_of(name: str, kinds: Mapping[str, str]) -> str:
    """Return the output whose logits `runtime.compare.differences` measures under `name`."""
    output = name.removesuffix(".logits")
    return output if output in kinds else next(n for n, k in kinds.items() if k == "probabilities")


def _tolerance(kind: str, expected: Array, tolerance: float) -> float:
    """Return the tolerance of one row, in units of its own spread.

    The logits of a softmax may differ by `tolerance` plus the resolution of its float32
    probabilities (`RESOLUTION`), which matters only if the classes hardly differ. A softmax changes
    by at most half of the change of its input (its Lipschitz constant is 1/2: Gao and Pavel, 2017,
    proposition 4), so the probabilities may differ by half of what the logits may, in units of the
    much smaller spread of probabilities.

    Two classes may be swapped in a ranking if their scores differ by at most twice the tolerance of
    a score, since each may have that error.
    """
    if kind == "indices":
        return 2 * tolerance
    if kind not in ("probabilities", "log-probabilities") or expected.shape[-1] < 2:
        return tolerance
    spread, within = float(expected.astype(np.float64).std()), float(logits_of(expected).std())
    if spread == 0:
        return tolerance
    tolerance += min(RESOLUTION / within, FLAT)
    return tolerance if kind == "log-probabilities" else tolerance * within / (2 * spread)


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
    worst = max(
        (row for row in parity.rows if not row.passed),
        key=lambda row: row.error,
    )
    raise ParityFailed(
        f"output {worst.name!r} is {worst.error:.2g} of its spread away from "
        f"{reference_of(worst.name)} on {parity.images} samples; {worst.tolerance:g} is allowed",
        hint=f"nothing was published; {kept}",
    )


def _json_number(value: float) -> float:
    """Return a finite number: JSON has no infinity, so the largest float64 replaces it."""
    return float(min(value, np.finfo(np.float64).max)) if value == value else UNMEASURED
