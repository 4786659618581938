"""Average precision of boxes as COCO defines it, with a weight for each image.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014, and cocodataset.org
(detection-eval): boxes are matched with true ones at ten overlaps, the best score first, and
precision is read at 101 recalls. The tests compare it with pycocotools, which has no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kexport.arrays import Array

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""The least intersection over union of a box with the true one, 0.5 to 0.95."""

RECALLS = np.linspace(0.0, 1.0, 101)

MOST_BOXES = 100
"""The number of boxes of an image and class that count, the best ones."""


class Matches(NamedTuple):
    """The boxes that were found in an image, best first, and how many there are.

    `hit` is bool [overlaps, boxes]: whether it is the best of a true box. `counted` is bool
    [overlaps, boxes]: whether it counts at all, since a box of a crowd does not. `true` is the
    number of true boxes of each class, int64 [classes], without crowds.
    """

    scores: Array
    classes: Array
    hit: Array
    counted: Array
    true: Array


def overlaps(found: Array, true: Array, crowds: Array) -> Array:
    """Compute intersection over union, [found, true]; for a crowd, over the found box alone.

    Boxes are left, top, right and bottom, [boxes, 4].
    """
    low = np.maximum(found[:, np.newaxis, :2], true[np.newaxis, :, :2])
    high = np.minimum(found[:, np.newaxis, 2:], true[np.newaxis, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    own, other = (np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (found, true))
    union = own[:, np.newaxis] + np.where(crowds, 0.0, other - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def match(found: Array, true: Array, crowds: Array) -> tuple[Array, Array]:
    """Match boxes of one class and image, best score first, with the true ones.

    A box takes the free true box that it overlaps most, and a crowd only if there is none.

    Returns:
        Whether each box is a hit, and whether it counts, bool [overlaps, found].
    """
    shape = len(OVERLAPS), len(found)
    hit, counted = np.zeros(shape, bool), np.ones(shape, bool)
    shared = overlaps(found, true, crowds)
    for row, least in enumerate(OVERLAPS):
        free = ~crowds
        for place, line in enumerate(shared):
            fitting = np.flatnonzero(free & (line >= least))
            if len(fitting):
                best = fitting[len(fitting) - 1 - int(line[fitting][::-1].argmax())]
                free[best], hit[row, place] = False, True
            elif (line[crowds] >= least).any():
                counted[row, place] = False
    return hit, counted


def precisions(matches: Sequence[Matches], weights: Array) -> Array:
    """Compute average precision, [draws, overlaps, classes], for weights [draws, images].

    It is NaN for a class without any true box.
    """
    true = np.stack([one.true for one in matches])
    images = np.repeat(np.arange(len(matches)), [len(one.scores) for one in matches])
    scores, classes = (np.concatenate([one[part] for one in matches]) for part in (0, 1))
    hit, counted = (np.concatenate([one[part] for one in matches], axis=1) for part in (2, 3))
    found = np.full((len(weights), len(OVERLAPS), true.shape[1]), np.nan)
    for label in np.flatnonzero(true.any(axis=0)):
        own = np.flatnonzero(classes == label)
        own = own[np.argsort(-scores[own], kind="stable")]
        wanted = weights @ true[:, label]
        for row in range(len(OVERLAPS)):
            kept = own[counted[row, own]]
            found[:, row, label] = _interpolated(weights[:, images[kept]], hit[row, kept], wanted)
    return found


def _interpolated(weights: Array, hit: Array, wanted: Array) -> Array:
    """Compute the mean of precision at the 101 recalls, [draws].

    Precision at a recall is the largest at that recall or a larger one. It is largest where a hit
    is passed, so that other places need no look.

    Args:
        weights: of the boxes, best first, [draws, boxes].
        hit: whether each is a hit, [boxes].
        wanted: the weight of all true boxes, [draws].
    """
    places = np.flatnonzero(hit)
    if not len(places):
        return np.zeros(len(weights))
    passed = np.cumsum(weights, axis=1)[:, places]
    hits = np.cumsum(weights[:, places], axis=1)
    best = np.maximum.accumulate((hits / passed)[:, ::-1], axis=1)[:, ::-1]
    recall = hits / wanted[:, np.newaxis]
    recall[np.isclose(recall, 1.0, rtol=1e-9, atol=0)] = 1.0  # the two sums round differently
    reached = np.searchsorted(RECALLS, recall, side="right")
    return np.asarray((best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS))
