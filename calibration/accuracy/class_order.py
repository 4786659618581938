"""Order of classes: do the labels belong to other classes than those that the model gives them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.accuracy.intervals import difference_interval
from kexport.measures.resample import CONFIDENCE

FEWEST_IMAGES = 3
"""The smallest number of images of a class, in each half of all images, that says which class the
model takes them for."""

CLEAR = 0.75
"""The share of the images of moved classes from which on another order is beyond doubt."""


@dataclass(frozen=True, slots=True)
class OtherOrder:
    """An order of classes that fits labelled images better than the one that was given."""

    moved: Mapping[int, int]
    """The class that the model takes most images of a class for, where that is another."""
    before: float
    """The accuracy in the given order."""
    after: float
    """The accuracy in this order."""
    is_clear: bool
    """Whether the model is right on most images of the moved classes in this order."""


def other_order(predicted: Array, labels: Array, classes: int) -> OtherOrder | None:
    """Find an order of classes in which the predictions are right more often.

    A class is moved to another if the model takes the majority of its images for that one, in each
    of two halves of the images, and takes no other class for it: a model that cannot tell two
    classes apart takes both for the same. The order is returned if it is better with a confidence
    of 0.95, by the paired interval of `difference_interval`.

    Args:
        predicted: the class that the model gives to each image, in random order.
        labels: the class that each image has.
        classes: the number of classes.
    """
    halves = [_majorities(predicted[i::2], labels[i::2], classes) for i in (0, 1)]
    taken = {label: other for label, other in halves[0].items() if halves[1].get(label) == other}
    moved = _permuted(taken)
    if not moved:
        return None
    order = np.arange(classes)
    order[list(moved)] = list(moved.values())
    was, becomes = predicted == labels, predicted == order[labels]
    gained, lost = (int(np.count_nonzero(x)) for x in (becomes & ~was, was & ~becomes))
    if difference_interval(gained, lost, len(labels), CONFIDENCE).low <= 0:
        return None
    of_moved = becomes[np.isin(labels, list(moved))]
    return OtherOrder(
        moved, float(was.mean()), float(becomes.mean()), float(of_moved.mean()) >= CLEAR
    )


def _majorities(predicted: Array, labels: Array, classes: int) -> dict[int, int]:
    """Return the class that most images of each class are taken for, where most are for one."""
    found = {}
    for label in np.unique(labels):
        counts = np.bincount(predicted[labels == label], minlength=classes)
        best = int(counts.argmax())
        if counts.sum() >= FEWEST_IMAGES and 2 * counts[best] > counts.sum():
            found[int(label)] = best
    return found


def _permuted(taken: Mapping[int, int]) -> dict[int, int]:
    """Return the classes that are taken for another one which is not taken for itself, or twice."""
    wanted = list(taken.values())
    return {
        label: other
        for label, other in taken.items()
        if label != other and taken.get(other) != other and wanted.count(other) == 1
    }
