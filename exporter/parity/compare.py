"""Keras against the bundle's own runtime, on the same raw images."""

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
"""Largest error allowed for each precision: max |runtime - keras| / std(keras)."""

RESOLUTION = 3 * float(np.finfo(np.float32).eps)
"""How far the logits of two float32 softmaxes may lie apart by rounding alone: a good exp is off by
less than a unit in the last place, eps relative to itself, and the division by half of one; log p
moves by as much, in both of them. The sum's error is the same for all classes."""

FLAT = 1e-2
"""The most that RESOLUTION may add to a tolerance: where it is more, classes hardly differ."""

UNMEASURED = float(np.finfo(np.float64).max)
"""The error of what has not been measured, or is not a number: no tolerance reaches it."""

AT_ONCE = 2
"""Samples that Keras computes at a time, which bounds the memory of large models."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a bundle lies from Keras, output by output, over `images` samples.

    A quantised one has rows for its graph too, as `runtime.verify`.
    """

    images: int
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(row.passed for row in self.rows)

    def entry(self) -> dict[str, Any]:
        """The manifest's entry `parity`."""
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
    model: keras.Model, inputs: Sequence[Array], names: Sequence[str]
) -> dict[str, Array]:
    """What Keras gives: each output by name, float32, in Keras' own layout.

    Args:
        model: the Keras model.
        inputs: one array for each input of the model, already preprocessed, batch first.
        names: the outputs' names, in the order of `keras.tree.flatten`.
    """
    parts = []
    for start in range(0, len(inputs[0]), AT_ONCE):
        batch = [array[start : start + AT_ONCE] for array in inputs]
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
        source = name if name in kinds else _softmax_behind(name, kinds)
        limit = _tolerance(kind, expected.outputs[source], expected.tolerance)
        rows.append(Row(**asdict(found), tolerance=limit))
    return Parity(len(next(iter(reference.inputs.values()))), tuple(rows))


def _kind(spec: OutputSpec) -> str:
    """As what an output is measured; best scores as what they are of."""
    return spec.of or spec.kind if spec.kind == "scores" else spec.kind


def _softmax_behind(name: str, kinds: Mapping[str, str]) -> str:
    """The output whose logits `runtime.compare.differences` measures under `name`."""
    output = name.removesuffix(".logits")
    return output if output in kinds else next(n for n, k in kinds.items() if k == "probabilities")


def _tolerance(kind: str, expected: Array, tolerance: float) -> float:
    """The tolerance of one row, in units of its own spread.

    The logits of a softmax are held to `tolerance` and what its float32 probabilities cannot state
    (`RESOLUTION`), which counts only where the classes hardly differ. A softmax moves by at most
    half of what its input moves (Gao and Pavel, 2017, proposition 4: its Lipschitz constant is
    1/2), so its own row is held to half of the logits' allowance, in units of the much smaller
    spread of probabilities.

    Two classes may change places in a ranking where each may be off by as much as
    their scores lie apart: twice the tolerance of a score.
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
    """The manifest's entry `parity` while nothing has been measured: it has not passed."""
    blank = {
        "max_abs": UNMEASURED,
        "error": UNMEASURED,
        "tolerance": 0.0,
        "top1_agreement": None,
    }
    return {"images": images, "passed": False, "outputs": dict.fromkeys(names, blank)}


def require(parity: Parity, kept: str) -> None:
    """Let a passed parity through; `kept` says where the files of another are.

    Raises:
        ParityFailed: an output lies too far from Keras' or the graph's, naming it.
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
    """JSON has no infinity; the largest float64 stands for it."""
    return float(min(value, np.finfo(np.float64).max)) if value == value else UNMEASURED
