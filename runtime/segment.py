"""Masks as answers (task segment): a class for each pixel of the image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .classes import answers_of, sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .placement import Placement
    from .task import Task

    Color = tuple[int, int, int]

UNSEEN = 255
"""The value of pixels that the model does not see, since they are cropped away."""


@dataclass(frozen=True)
class Share:
    """The share of an image that a class covers, from 0 to 1, of the pixels that are seen."""

    index: int
    label: str
    share: float


@dataclass(frozen=True)
class Mask:
    """The class of each pixel of an image, uint8 [height, width], in the image's own size.

    `shares` has the classes that occur, the largest first. `palette` has a colour, (red, green,
    blue), for each class.
    """

    classes: NDArray[np.uint8]
    shares: tuple[Share, ...]
    palette: tuple[Color, ...]

    columns = ("label", "share")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each class that occurs, in the order of `columns`."""
        return [(found.label, f"{100 * found.share:.2f} %") for found in self.shares]

    def entry(self) -> dict[str, Any]:
        """Return sizes and shares as JSON has them; `save` keeps the pixels."""
        height, width = self.classes.shape
        shares = [asdict(found) for found in self.shares]
        return {"mask": {"height": height, "width": width, "shares": shares}}


def mask_of(
    values: NDArray[Any],
    task: Task,
    labels: Sequence[str] | None,
    threshold: float,
    placement: Placement,
) -> Mask:
    """Return the mask of [h, w, classes]: the class of the largest value, the first of equal ones.

    With one channel, class 1 where the score is `threshold` or more, and 0 elsewhere. The mask is
    carried to the image's own size by nearest neighbour: a pixel has the class of the cell that its
    centre lies in.
    """
    channels = values.shape[-1]
    names: tuple[str, ...]
    if channels == 1:
        scores = sigmoid(values[..., 0]) if task.from_logits else values[..., 0].astype(np.float64)
        cells, names = (scores >= threshold).astype(np.uint8), answers_of(labels)
    else:
        cells = values.argmax(axis=-1).astype(np.uint8)
        names = tuple(labels or (f"class {index}" for index in range(channels)))
    rows, columns = placement.rows.cells(cells.shape[0]), placement.columns.cells(cells.shape[1])
    found = cells[rows][:, columns]
    found[rows < 0] = UNSEEN
    found[:, columns < 0] = UNSEEN
    seen = int(np.count_nonzero(rows >= 0)) * int(np.count_nonzero(columns >= 0))
    counts = np.bincount(found.ravel(), minlength=len(names))[: len(names)]
    order = [index for index in np.argsort(-counts, kind="stable").tolist() if counts[index]]
    shares = tuple(Share(index, names[index], int(counts[index]) / seen) for index in order)
    return Mask(found, shares, task.palette or voc_palette(len(names)))


def voc_palette(count: int) -> tuple[Color, ...]:
    """Return colours for `count` classes, black first.

    Bit k of a class goes to bit 7 - k / 3 of red, green or blue in turn, as in the masks of PASCAL
    VOC (the function VOClabelcolormap of its development kit).
    """
    return tuple(_voc_color(index) for index in range(count))


def _voc_color(index: int) -> Color:
    red = green = blue = 0
    for bit in range(8):
        red |= (index >> (3 * bit) & 1) << (7 - bit)
        green |= (index >> (3 * bit + 1) & 1) << (7 - bit)
        blue |= (index >> (3 * bit + 2) & 1) << (7 - bit)
    return red, green, blue
