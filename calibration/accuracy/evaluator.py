"""Evaluation of quantized models against Keras on held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import run_all
from kexport.calibration.metrics import Quality, class_quality, sqnr
from kexport.outputs import SCORED, Output
from kexport.runtime.compare import logits_of

Kind = Literal["probabilities", "scores", "numbers"]
"""The first output: class scores after a softmax, which are compared as logits; class scores; or
numbers without a best class."""


def output_kind(output: Output) -> Kind:
    """Classify an output of a model."""
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
        if self.kind == "numbers":
            return Quality(sqnr(reference, scores), images=len(scores))
        return class_quality(reference, scores, self.labels)

    def rows(self, output: Array) -> Array:
        """Convert a first output into rows of numbers, before a softmax."""
        flat = output.reshape(len(output), -1)
        return logits_of(flat) if self.kind == "probabilities" else flat
