"""Measures of images that a model makes: task image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.measures.resample import DRAWS
from kexport.runtime import BadImage
from kexport.runtime.image import pixels
from kexport.runtime.output_image import OutputImage
from kexport.runtime.resize import Resize

LEAST_ERROR = 1 / 12
"""The mean squared error of rounding to bytes: a smaller one is taken as this, so that the PSNR is
59 dB at most."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE) in decibels, its mean over the images.

    A loss is relative to Keras' PSNR: 0.01 of 30 dB is 0.3 dB. (`tf.image.psnr`.)
    """

    paths: tuple[Path, ...]
    """What the model should make of each image; one of another size is resized as the image is."""
    resize: Resize

    name = "psnr"
    unseen = 0
    draws = DRAWS

    def keep(self, answer: OutputImage, row: int) -> float:
        """Compute the PSNR of one image.

        Raises:
            BadArgument: the target cannot be read.
        """
        height, width, channels = answer.pixels.shape
        color = "GRAY" if channels == 1 else "RGB"
        try:
            wanted = pixels(self.paths[row], (height, width), color, self.resize, "uint8")
        except BadImage as error:
            raise BadArgument(str(error), hint=error.hint) from error
        squared = float(np.mean(np.square(wanted.astype(np.float64) - answer.pixels)))
        return 10 * math.log10(255**2 / max(squared, LEAST_ERROR))

    def values(self, kept: Sequence[float], weights: Array) -> Array:
        """Compute the mean PSNR for weights of the images, [draws]."""
        return np.asarray(weights @ np.array(kept) / weights.sum(axis=1))

    def drops(self, keras: Sequence[float], other: Sequence[float], weights: Array) -> Array:
        """Compute the share that the other loses of Keras' mean PSNR, [draws]."""
        return np.asarray(1 - self.values(other, weights) / self.values(keras, weights))

    def summary(self, kept: Sequence[float]) -> dict[str, float]:
        """Compute the mean PSNR."""
        return {"psnr": float(np.mean(kept))}

    def predicted_drop(self, keras: Sequence[float], other: Sequence[float]) -> None:
        """Return nothing: the loss itself moves smoothly."""
        del keras, other

    def doubt(self, kept: Sequence[float]) -> str | None:
        """Say nothing: no PSNR is a guess."""
        del kept
        return None
