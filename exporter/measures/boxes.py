"""Measures of boxes: task detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.measures.box_precision import MOST_BOXES, OVERLAPS, Matches, match, precisions
from kexport.measures.examples import TrueBoxes
from kexport.runtime.detect import Boxes


@dataclass(frozen=True, slots=True)
class FoundBoxes:
    """Mean average precision of COCO, over the classes that some image has.

    Only the boxes that the device gives are counted: those from the threshold on.
    """

    truths: tuple[TrueBoxes, ...]
    """The objects in each image, whose classes are those of the model."""
    classes: int

    name = "map_50_95"
    unseen = 0
    draws = 1000

    def keep(self, answer: Boxes, row: int) -> Matches:
        """Match the boxes of one image with the true ones."""
        truth = self.truths[row]
        edges = np.array(
            [(one.left, one.top, one.right, one.bottom) for one in answer.boxes], np.float64
        ).reshape(-1, 4)
        scores = np.array([one.score for one in answer.boxes], np.float64)
        classes = np.array([one.index for one in answer.boxes], np.int64)
        order, hits, counted = list[Array](), list[Array](), list[Array]()
        for label in np.unique(classes):
            own = np.flatnonzero(classes == label)
            own = own[np.argsort(-scores[own], kind="stable")][:MOST_BOXES]
            true = truth.classes == label
            hit, counts = match(edges[own], truth.edges[true], truth.crowds[true])
            order.append(own)
            hits.append(hit)
            counted.append(counts)
        places = np.concatenate([np.zeros(0, np.int64), *order])
        empty = np.zeros((len(OVERLAPS), 0), bool)
        return Matches(
            scores[places],
            classes[places],
            np.concatenate([empty, *hits], axis=1),
            np.concatenate([empty, *counted], axis=1),
            np.bincount(truth.classes[~truth.crowds], minlength=self.classes),
        )

    def values(self, kept: Sequence[Matches], weights: Array) -> Array:
        """Compute the mean average precision for weights of the images, [draws]."""
        found = precisions(kept, weights)
        known = ~np.isnan(found[0, 0])
        if not known.any():
            return np.zeros(len(weights))
        return np.asarray(found[:, :, known].mean(axis=(1, 2)))

    def drops(self, keras: Sequence[Matches], other: Sequence[Matches], weights: Array) -> Array:
        """Compute what the other loses of Keras' mean average precision, [draws]."""
        return self.values(keras, weights) - self.values(other, weights)

    def summary(self, kept: Sequence[Matches]) -> dict[str, float]:
        """Compute the mean average precision, and that at the overlap 0.5 alone."""
        found = precisions(kept, np.ones((1, len(kept))))[0]
        return {
            "map_50_95": float(np.nanmean(found)) if np.isfinite(found).any() else 0.0,
            "map_50": float(np.nanmean(found[0])) if np.isfinite(found).any() else 0.0,
        }

    def predicted_drop(self, keras: Sequence[Matches], other: Sequence[Matches]) -> None:
        """Return nothing: the loss itself moves smoothly."""
        del keras, other

    def doubt(self, kept: Sequence[Matches]) -> str | None:
        """Say that no true box is found at all."""
        if any(one.hit[0].any() for one in kept):
            return None
        return f"finds none of the {sum(int(one.true.sum()) for one in kept)} objects"
