"""Placement of an image in the frame that the model sees, to carry answers back to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .manifest import Manifest


@dataclass(frozen=True)
class Axis:
    """One axis: pixels `start` to `start + length` of an image of `own` pixels become the pixels
    `to_start` to `to_start + to_length` of a frame of `frame` pixels.
    """

    own: int
    start: int
    length: int
    to_start: int
    to_length: int
    frame: int

    def cells(self, count: int) -> NDArray[np.int64]:
        """Return for each pixel of the image the cell that its centre lies in, int64 [own].

        `count` cells divide the frame. A pixel that the frame does not show has cell -1.
        """
        pixel = np.arange(self.own, dtype=np.int64) - self.start
        place = 2 * self.length * self.to_start + (2 * pixel + 1) * self.to_length
        cells = count * place // (2 * self.length * self.frame)
        shown = (pixel >= 0) & (pixel < self.length)
        found: NDArray[np.int64] = np.where(shown, np.clip(cells, 0, count - 1), -1)
        return found

    def own_place(self, place: float) -> float:
        """Return where a place in the frame, in its pixels, lies in the image, within its edges."""
        found = self.start + (place - self.to_start) * self.length / self.to_length
        return min(max(found, 0.0), float(self.own))


@dataclass(frozen=True)
class Placement:
    """Where the rows and the columns of an image lie in the model's frame."""

    rows: Axis
    columns: Axis


def placement_of(manifest: Manifest, height: int, width: int) -> Placement:
    """Return the placement of an image of `height` x `width` pixels for the first image input.

    The image fills the frame ("stretch"), is cut to the frame's aspect ratio around its centre
    ("crop"), or has borders ("pad"), as the manifest says of the resizing before the graph
    (`InputSpec.resize`) or in it (`preprocessing.crop`). A model that takes any size sees the
    image as it is.
    """
    inside, source = manifest.data["preprocessing"], manifest.first_image
    fit = "stretch" if source is None else source.resize.fit
    frame = (None, None) if source is None else source.size
    if inside.get("resize") is not None and inside.get("size") is not None:
        frame = (int(inside["size"][0]), int(inside["size"][1]))
        fit = "stretch" if inside.get("crop") is None else "crop"
    tall, wide = frame
    if tall is None or wide is None:
        return placed(height, width, height, width, "stretch")
    return placed(height, width, tall, wide, fit)


def placed(height: int, width: int, tall: int, wide: int, fit: str) -> Placement:
    """Return the placement of `height` x `width` pixels in a frame of `tall` x `wide`."""
    rows, columns = _whole(height, tall), _whole(width, wide)
    if fit == "crop":
        rows = _cropped(height, max(min(height, width * tall // wide), 1), tall)
        columns = _cropped(width, max(min(width, height * wide // tall), 1), wide)
    elif fit == "pad":
        rows = _padded(height, min(tall, height * wide // width), tall)
        columns = _padded(width, min(wide, width * tall // height), wide)
    return Placement(rows, columns)


def _whole(own: int, frame: int) -> Axis:
    return Axis(own, 0, own, 0, frame, frame)


def _cropped(own: int, length: int, frame: int) -> Axis:
    return Axis(own, (own - length) // 2, length, 0, frame, frame)


def _padded(own: int, to_length: int, frame: int) -> Axis:
    length = max(to_length, 1)
    return Axis(own, 0, own, (frame - length) // 2, length, frame)
