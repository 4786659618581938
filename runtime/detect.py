"""Boxes as answers (task detect): objects with their classes and scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .classes import sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .placement import Placement
    from .task import Task

    Numbers = NDArray[np.float64]

FORMATS = ("xyxy", "xywh", "cxcywh", "yxyx")
"""Left, top, right, bottom; left, top, width, height; centre, width, height; top, left, bottom,
right."""


@dataclass(frozen=True)
class Box:
    """An object: its class, and its edges in pixels of the image, from its left and top edge."""

    index: int
    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Boxes:
    """The objects in an image, the best score first."""

    boxes: tuple[Box, ...]

    columns = ("label", "score", "left", "top", "right", "bottom")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each object, in the order of `columns`; one without any."""
        if not self.boxes:
            return [("none", "", "", "", "", "")]
        return [
            (one.label, f"{one.score:.4f}", *(f"{edge:.1f}" for edge in _edges(one)))
            for one in self.boxes
        ]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {"boxes": [asdict(one) for one in self.boxes]}


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def boxes_of(
    boxes: NDArray[Any],
    scores: NDArray[Any],
    task: Task,
    labels: Sequence[str] | None,
    threshold: float,
    iou: float,
    placement: Placement,
) -> Boxes:
    """Return the objects of [boxes, 4] and [boxes, classes], or of one box, [4] and [classes].

    A box has the class with its largest score, the first of equal ones. It is kept if that is
    `threshold` or more and no better box of its class overlaps it by more than `iou` (greedy
    non-maximum suppression). What is left is carried to the image and cut at its edges.
    """
    values = np.atleast_2d(scores)
    known = sigmoid(values) if task.from_logits else values.astype(np.float64)
    classes = known.argmax(axis=1)
    best = known[np.arange(len(known)), classes]
    size = placement.columns.frame, placement.rows.frame
    edges = edges_of(np.atleast_2d(boxes).astype(np.float64), task.box_format, task.relative, size)
    found: list[Box] = []
    for place in suppressed(edges, best, classes, threshold, iou):
        index = int(classes[place])
        name = labels[index] if labels is not None and index < len(labels) else f"class {index}"
        left, top, right, bottom = edges[place].tolist()
        box = Box(
            *(index, name, float(best[place])),
            *(placement.columns.own_place(left), placement.rows.own_place(top)),
            *(placement.columns.own_place(right), placement.rows.own_place(bottom)),
        )
        if box.right > box.left and box.bottom > box.top:
            found.append(box)
    return Boxes(tuple(found))


def edges_of(boxes: Numbers, form: str, relative: bool, size: tuple[int, int]) -> Numbers:
    """Return left, top, right and bottom, [boxes, 4], in pixels of a frame of (width, height).

    `form` is one of FORMATS; `relative` numbers are shares of the frame's width and height.
    """
    if form == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    first, second = boxes[:, :2], boxes[:, 2:]
    if form == "xywh":
        second = first + second
    elif form == "cxcywh":
        first, second = first - second / 2, first + second / 2
    edges = np.concatenate([first, second], axis=1)
    return edges * np.array([*size, *size], np.float64) if relative else edges


def suppressed(
    edges: Numbers, scores: Numbers, classes: NDArray[np.int64], threshold: float, iou: float
) -> list[int]:
    """Return the boxes that are kept, best first; of equal scores the first comes first.

    A box is dropped if its overlap with a better box of its class, as the area of the intersection
    over that of the union, is larger than `iou`.
    """
    kept: list[int] = []
    for place in np.argsort(-scores, kind="stable").tolist():
        if not scores[place] >= threshold:
            continue
        rivals = [one for one in kept if classes[one] == classes[place]]
        if all(_overlap(edges[one], edges[place]) <= iou for one in rivals):
            kept.append(place)
    return kept


def _overlap(a: Numbers, b: Numbers) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = _area(a) + _area(b) - width * height
    return float(width * height / union) if union > 0 else 0.0


def _area(box: Numbers) -> float:
    return float(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0))
