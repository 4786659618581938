"""Evaluation of quantized models against Keras on held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import run_all
from kexport.calibration.metrics import Quality, class_quality, sqnr
from kexport.outputs import SCORED, Output
from kexport.runtime.compare import logits_of
from kexport.runtime.task import task_of

Kind = Literal["probabilities", "scores", "numbers", "quantities", "vectors"]
"""The first output: class scores after a softmax, which are compared as logits; class scores;
numbers without a best class; numbers of which each has its own unit; or embeddings, which devices
compare by their angle."""

NUMBERS: tuple[Kind, ...] = ("numbers", "quantities", "vectors")
"""The kinds without a best class."""

READ_AS: dict[str, Kind] = {"regress": "quantities", "embed": "vectors"}
"""The kind of the outputs that a task reads, where the task tells it."""


def output_kind(output: Output, task: Mapping[str, Any]) -> Kind:
    """Classify the first output of a model; `task` is the manifest's entry."""
    if task["name"] in READ_AS and output.name in task_of({"task": task}, ()).outputs:
        return READ_AS[task["name"]]
    if output.kind not in SCORED or output.classes is None or output.classes < 2:
        return "numbers"
    return "probabilities" if output.kind == "probabilities" else "scores"


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Held-out samples with Keras' output for each, and their labels where they are known."""

    images: Inputs
    """Samples as the graph takes them, batch first; none of them was used for calibration."""
    reference: Array
    """Keras' first output on them, float32, batch first."""
    kind: Kind
    labels: Array | None = None
    """The correct class of each image."""

    def first(self, count: int) -> Evaluator:
        """Return the evaluator of the first `count` images."""
        labels = None if self.labels is None else self.labels[:count]
        return Evaluator(self.images[:count], self.reference[:count], self.kind, labels)

    def evaluate(self, model: ir.Model) -> Quality:
        """Measure the quality of `model` on all images."""
        return self._compare(self.scores(model, self.images))

    def evaluate_reference(self) -> Quality:
        """Measure the quality of Keras itself."""
        return self._compare(self.rows(self.reference))

    def scores(self, model: ir.Model, images: Inputs) -> Array:
        """Compute the first output of `model` on `images` as rows of numbers, before a softmax."""
        return self.rows(run_all(model, images, model.graph.outputs[0].name or ""))

    def _compare(self, scores: Array) -> Quality:
        reference = self.rows(self.reference)
        if self.kind == "vectors":
            reference, scores = differences(directions(reference), directions(scores))
        if self.kind == "quantities":
            reference, scores = differences(reference, scores, scaled=True)
        if self.kind in NUMBERS:
            return Quality(sqnr(reference, scores), images=len(scores))
        return class_quality(reference, scores, self.labels)

    def rows(self, output: Array) -> Array:
        """Convert a first output into rows of numbers, before a softmax."""
        flat = output.reshape(len(output), -1)
        return logits_of(flat) if self.kind == "probabilities" else flat


def differences(reference: Array, scores: Array, *, scaled: bool = False) -> tuple[Array, Array]:
    """Subtract the mean of the reference over the samples from both, [N, numbers], in float64.

    What all samples share tells nothing apart: one degree is little noise beside 300 kelvin, and
    much where a room's temperature differs by two. With `scaled` both are divided by the standard
    deviation of the reference, so that all units count alike. A number that never differs has
    none, and is left out unless there is no other.
    """
    exact = reference.astype(np.float64)
    mean, spread = exact.mean(axis=0), exact.std(axis=0)
    if not scaled or not spread.any():
        return exact - mean, scores - mean
    told = spread > 0
    return tuple((each - mean)[:, told] / spread[told] for each in (exact, scores))


def directions(vectors: Array) -> Array:
    """Divide vectors [N, numbers] by their lengths, float64; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))
