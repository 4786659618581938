"""Compares a quantised model with Keras on pictures that calibration has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.quality import Quality, quality
from kexport.calibration.running import run_all
from kexport.runtime.compare import logits_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Judge:
    """Held-out pictures, and what Keras says of them."""

    images: Array
    """uint8 [N, H, W, C], as the model takes them."""
    reference: Array
    """Keras' first output on them, float32, batch first."""
    probabilities: bool
    """Whether that output went through a softmax; its input is what is compared then."""
    labels: Array | None = None
    """The right class of each picture, where it is known."""

    def __call__(self, model: ir.Model) -> Quality:
        """How good `model` is on all of the pictures."""
        return quality(self._scores(self.reference), self.scores(model, self.images), self.labels)

    def scores(self, model: ir.Model, images: Array) -> Array:
        """The first output of `model` on `images`, before its softmax, as rows of numbers."""
        return self._scores(run_all(model, images, model.graph.outputs[0].name or ""))

    def _scores(self, output: Array) -> Array:
        flat = output.reshape(len(output), -1)
        return logits_of(flat) if self.probabilities else flat
