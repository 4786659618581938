"""Keras against the bundle's own runtime, on the same raw pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kexport import runtime
from kexport.errors import ParityFailed
from kexport.runtime.compare import differences, logits_of

Array = np.ndarray[Any, Any]

TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest error allowed for each precision: max |runtime - keras| / std(keras)."""

UNMEASURED = float(np.finfo(np.float64).max)
"""The error of what has not been measured, or is not a number: no tolerance reaches it."""

AT_ONCE = 2
"""Samples that Keras computes at a time, which bounds the memory of large models."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How far one output of the runtime lies from Keras'."""

    name: str
    max_abs: float
    error: float
    tolerance: float
    top1_agreement: float | None

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; an error that is not a number is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a bundle lies from Keras, output by output, over `images` samples."""

    images: int
    measures: tuple[Measure, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(measure.passed for measure in self.measures)

    def entry(self) -> dict[str, Any]:
        """The manifest's entry `parity`."""
        outputs = {
            measure.name: {
                "max_abs": _json_number(measure.max_abs),
                "error": _json_number(measure.error),
                "tolerance": measure.tolerance,
                "top1_agreement": measure.top1_agreement,
            }
            for measure in self.measures
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
        outputs = keras.tree.flatten(model(_structured(model, batch), training=False))
        parts.append([keras.ops.convert_to_numpy(output) for output in outputs])
    joined = (np.concatenate(arrays).astype(np.float32) for arrays in zip(*parts, strict=True))
    return dict(zip(names, joined, strict=True))


def measure(
    bundle: Path,
    golden: Mapping[str, Array],
    kinds: Mapping[str, str],
    tolerance: float,
) -> Parity:
    """Run the bundle in `bundle` through its runtime on the golden inputs, and compare.

    Args:
        bundle: a folder with a manifest; its hashes are not looked at.
        golden: inputs and Keras' outputs by name.
        kinds: outputs by name, each with its kind.
        tolerance: the largest error allowed.
    """
    session = runtime.load(bundle, check=False)
    inputs = {spec.name: golden[spec.name] for spec in session.manifest.inputs}
    given = session.run(inputs, fill=True)
    measures = tuple(
        Measure(
            row.name,
            row.max_abs,
            row.error,
            _tolerance(kinds.get(row.name), golden.get(row.name), tolerance),
            row.top1_agreement,
        )
        for row in differences(kinds, given, golden)
    )
    return Parity(len(next(iter(inputs.values()))), measures)


def _tolerance(kind: str | None, expected: Array | None, tolerance: float) -> float:
    """The tolerance of one row, in units of its own spread.

    The logits of a softmax are held to `tolerance` itself. A softmax moves by at most half of what
    its input moves (Gao and Pavel, 2017, proposition 4: its Lipschitz constant is 1/2), so its own
    row is held to half of the logits' allowance, in units of the much smaller spread of
    probabilities.
    """
    if kind != "probabilities" or expected is None or expected.shape[-1] < 2:
        return tolerance
    spread = float(expected.astype(np.float64).std())
    if spread == 0:
        return tolerance
    return tolerance * float(logits_of(expected).std()) / (2 * spread)


def pending(names: Sequence[str], images: int, tolerance: float) -> dict[str, Any]:
    """The manifest's entry `parity` while nothing has been measured: it has not passed."""
    blank = {
        "max_abs": UNMEASURED,
        "error": UNMEASURED,
        "tolerance": tolerance,
        "top1_agreement": None,
    }
    return {"images": images, "passed": False, "outputs": dict.fromkeys(names, blank)}


def require(parity: Parity, rejected: Path) -> None:
    """Let a passed parity through.

    Raises:
        ParityFailed: an output lies too far from Keras', naming it.
    """
    if parity.passed:
        return
    worst = max(
        (measure for measure in parity.measures if not measure.passed),
        key=lambda measure: measure.error,
    )
    raise ParityFailed(
        f"output {worst.name!r} is {worst.error:.2g} of its spread away from Keras' "
        f"on {parity.images} samples; {worst.tolerance:g} is allowed",
        hint=f"nothing was published; the rejected files are in {rejected}",
    )


def _structured(model: keras.Model, arrays: Sequence[Array]) -> Any:
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        return arrays[0] if len(arrays) == 1 else list(arrays)
    return keras.tree.pack_sequence_as(structure, list(arrays))


def _json_number(value: float) -> float:
    """JSON has no infinity; the largest float64 stands for it."""
    return float(min(value, np.finfo(np.float64).max)) if value == value else UNMEASURED
