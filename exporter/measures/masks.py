"""Measures of masks: task segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.measures.resample import DRAWS
from kexport.runtime.segment import Mask

IGNORED = 255
"""The value of pixels in a true mask that count nowhere, as in those of PASCAL VOC."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Mean intersection over union of classes, over the pixels of all images together.

    The IoU of a class is TP / (TP + FP + FN); the mean is over the classes that a true or a found
    mask has, as in `keras.metrics.MeanIoU` (M. Everingham et al., "The PASCAL Visual Object Classes
    Challenge: A Retrospective", 2015, section 3.3). Pixels that are `IGNORED`, or that the model
    does not see because they are cropped away, do not count.
    """

    paths: tuple[Path, ...]
    """The true mask of each image."""
    classes: int

    name = "mean_iou"
    unseen = 0
    draws = DRAWS

    def keep(self, answer: Mask, row: int) -> Array:
        """Count pixels by class, [3, classes]: those that are right, found and true.

        Raises:
            BadArgument: the true mask cannot be read, or has an index that is no class.
        """
        pairs = _read(self.paths[row]).astype(np.uint16) << 8 | answer.classes
        counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        wrong = np.flatnonzero(counts[self.classes : IGNORED].any(axis=1))
        if len(wrong):
            raise BadArgument(
                f"the mask {self.paths[row]} has the class {self.classes + wrong[0]}, and the "
                f"model has {self.classes}, from 0 to {self.classes - 1}",
                hint=f"write indices of classes, or {IGNORED} for pixels that do not count",
            )
        counted = counts[: self.classes, : self.classes]  # neither IGNORED nor UNSEEN
        return np.stack([counted.diagonal(), counted.sum(axis=0), counted.sum(axis=1)])

    def values(self, kept: Sequence[Array], weights: Array) -> Array:
        """Compute the mean IoU for weights of the images, [draws]."""
        counts = np.stack(kept).astype(np.float64)
        right, found, true = (weights @ counts[:, part] for part in range(3))
        union = found + true - right
        shares = np.divide(right, union, out=np.zeros_like(union), where=union > 0)
        return np.asarray(shares.sum(axis=1) / (union > 0).sum(axis=1))

    def drops(self, keras: Sequence[Array], other: Sequence[Array], weights: Array) -> Array:
        """Compute what the other loses of Keras' mean IoU, [draws]."""
        return self.values(keras, weights) - self.values(other, weights)

    def summary(self, kept: Sequence[Array]) -> dict[str, float]:
        """Compute the mean IoU and the share of the pixels that are right.

        Raises:
            BadArgument: the true masks have no pixel that counts, or class 0 alone.
        """
        right, _, true = np.sum(kept, axis=0)
        if not true[1:].any():
            raise BadArgument(
                f"the masks of the {len(kept)} labelled images have no pixel of a class from 1 on: "
                f"{IGNORED} means that a pixel is ignored",
                hint="write the index of its class into each pixel, such as 1 for what is looked "
                "for and 0 for the rest",
            )
        mean = float(self.values(kept, np.ones((1, len(kept))))[0])
        return {"mean_iou": mean, "pixel_accuracy": float(right.sum() / true.sum())}

    def predicted_drop(self, keras: Sequence[Array], other: Sequence[Array]) -> None:
        """Return nothing: the loss itself moves smoothly."""
        del keras, other

    def doubt(self, kept: Sequence[Array]) -> str | None:
        """Say that no pixel of a class from 1 on is found."""
        right = np.sum(kept, axis=0)[0]
        return None if right[1:].any() else "finds no pixel of any class from 1 on"


def _read(path: Path) -> Array:
    """Read a true mask, uint8 [h, w]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image).astype(np.uint8)
    except (OSError, ValueError) as error:
        raise BadArgument(
            f"the mask {path} cannot be read: {error}", hint="write it again, or remove the image"
        ) from error
