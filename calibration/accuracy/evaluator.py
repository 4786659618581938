"""Compares a quantised model with Keras on images that calibration has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import run_all
from kexport.calibration.metrics import Quality, class_quality, sqnr
from kexport.runtime.compare import logits_of

Kind = Literal["probabilities", "scores", "numbers"]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Held-out images, and what Keras says of them."""

    images: Array
    """As the model takes them, batch first."""
    reference: Array
    """Keras' first output on them, float32, batch first."""
    kind: Kind
    """What that output is: scores of classes, of which those behind a softmax are compared before
    it; or other numbers, which have no best class."""
    labels: Array | None = None
    """The right class of each image, where it is known."""

    def __call__(self, model: ir.Model) -> Quality:
        """How good `model` is on all of the images."""
        return self._compared(self.scores(model, self.images))

    def keras(self) -> Quality:
        """How good Keras is itself."""
        return self._compared(self._scores(self.reference))

    def scores(self, model: ir.Model, images: Array) -> Array:
        """The first output of `model` on `images`, before its softmax, as rows of numbers."""
        return self._scores(run_all(model, images, model.graph.outputs[0].name or ""))

    def _compared(self, scores: Array) -> Quality:
        wanted = self._scores(self.reference)
        if self.kind == "numbers":
            return Quality(sqnr(wanted, scores))
        return class_quality(wanted, scores, self.labels)

    def _scores(self, output: Array) -> Array:
        flat = output.reshape(len(output), -1)
        return logits_of(flat) if self.kind == "probabilities" else flat
