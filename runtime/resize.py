"""Resizing outside the graph: how an image of another size becomes the model's.

A method names a library and its filter, because the same filter gives other pixels in each: those
of "tf" are `tf.image.resize`, as `keras.utils.image_dataset_from_directory` calls it, those of
"pil" `PIL.Image.resize`, as `keras.utils.load_img` calls it, those of "cv2" `cv2.resize` on bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import resize_taps as taps
from .errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Axis = Callable[[int, int], taps.Taps]
    Size = tuple[int, int]


@dataclass(frozen=True)
class Resize:
    """A method and a fit (`manifest_schema.METHODS`, `FITS`); by default those of bundles that name
    none.
    """

    method: str = "pil-nearest"
    fit: str = "stretch"

    @staticmethod
    def named(text: str) -> Resize:
        """Return what `METHOD` or `METHOD,FIT` names."""
        method, _, fit = text.partition(",")
        return Resize(method, fit or "stretch")

    def __str__(self) -> str:
        return self.method if self.fit == "stretch" else f"{self.method},{self.fit}"

    @property
    def pixel_library(self) -> str:
        """The library whose pixels the method gives: "tf", "pil" or "cv2"."""
        return self.method.partition("-")[0]


UNSTATED = Resize()
"""How a bundle resizes whose manifest does not say."""


@dataclass(frozen=True)
class Window:
    """The part of an image that is resized, and the part of the result that it becomes."""

    top: int
    left: int
    height: int
    width: int
    to_top: int
    to_left: int
    to_height: int
    to_width: int


def resized(image: NDArray[np.uint8], size: Size, resize: Resize) -> NDArray[Any]:
    """Resize an image, uint8 [h, w, c], to `size`, (height, width).

    Returns float32 that is not rounded for the methods of "tf" which weigh pixels, and uint8 for
    others. An image of that size already is returned as it is.

    Raises EngineMissing if the method is Pillow's, and Pillow is not installed.
    """
    if image.shape[:2] == size:
        return image
    window = window_of(image.shape[0], image.shape[1], size, resize)
    found = METHODS[resize.method](image, window)
    if (window.to_height, window.to_width) == size:
        return found
    framed = np.zeros((*size, image.shape[2]), found.dtype)
    rows = slice(window.to_top, window.to_top + window.to_height)
    framed[rows, window.to_left : window.to_left + window.to_width] = found
    return framed


def window_of(height: int, width: int, size: Size, resize: Resize) -> Window:
    """Return the window of an image for a fit, rounded as the method's library does.

    A crop equals `smart_resize` in `image_dataset_from_directory(crop_to_aspect_ratio=True)` for
    "tf", in float32, and `load_img(keep_aspect_ratio=True)` for others. Padding equals
    `tf.image.resize_with_pad`.
    """
    if resize.fit == "pad":
        return _padded(height, width, size)
    tall, wide = height, width
    if resize.fit == "crop":
        share = _float32_share if resize.pixel_library == "tf" else _whole_share
        tall = max(min(height, share(width, size[0], size[1])), 1)
        wide = max(min(width, share(height, size[1], size[0])), 1)
    return Window((height - tall) // 2, (width - wide) // 2, tall, wide, 0, 0, *size)


def _float32_share(length: int, over: int, under: int) -> int:
    return int(np.float32(length * over) / np.float32(under))


def _whole_share(length: int, over: int, under: int) -> int:
    return length * over // under


def _padded(height: int, width: int, size: Size) -> Window:
    f = np.float32
    ratio = max(f(width) / f(size[1]), f(height) / f(size[0]))
    tall, wide = f(height) / ratio, f(width) / ratio
    top, left = ((f(size[axis]) - (tall, wide)[axis]) / f(2) for axis in (0, 1))
    return Window(
        *(0, 0, height, width),
        *(max(int(top), 0), max(int(left), 0)),
        *(max(int(tall), 1), max(int(wide), 1)),
    )


def _part(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    rows = slice(window.top, window.top + window.height)
    return image[rows, window.left : window.left + window.width]


def _axes(axis: Axis, window: Window) -> tuple[taps.Taps, taps.Taps]:
    return axis(window.height, window.to_height), axis(window.width, window.to_width)


def _pick(axis: Axis, image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Take one source pixel for each."""
    rows, columns = _axes(axis, window)
    return _part(image, window)[rows.places[:, 0]][:, columns.places[:, 0]]


def _interpolate(axis: Axis, image: NDArray[np.uint8], window: Window) -> NDArray[np.float32]:
    """Interpolate in float32 as TensorFlow does: within the rows, then between them."""
    rows, columns = _axes(axis, window)
    along, down = columns.weights[:, 1:2], rows.weights[:, 1:2, np.newaxis]
    above, below = (_part(image, window)[rows.places[:, k]].astype(np.float32) for k in (0, 1))

    def within(line: NDArray[np.float32]) -> NDArray[np.float32]:
        left, right = (line[:, columns.places[:, k]] for k in (0, 1))
        found: NDArray[np.float32] = left + (right - left) * along
        return found

    upper, lower = within(above), within(below)
    found: NDArray[np.float32] = upper + (lower - upper) * down
    return found


def _weigh(axis: Axis, first: int, image: NDArray[np.uint8], window: Window) -> NDArray[np.float32]:
    """Add weighted pixels up in float32, along the axis `first` (0 is down) before the other."""
    both = _axes(axis, window)
    found: NDArray[Any] = _part(image, window)
    for which in (first, 1 - first):
        found = _summed(found, both[which], which)
    covered = np.float32(both[0].covered) * np.float32(both[1].covered)
    whole: NDArray[np.float32] = found * np.float32(1.0 / float(covered))
    return whole


def _summed(values: NDArray[Any], by: taps.Taps, which: int) -> NDArray[Any]:
    """Add the weighted sources up along an axis of values [h, w, c], the first source first."""
    shape = (-1, 1, 1) if which == 0 else (-1, 1)
    total: NDArray[Any] = values.take(by.places[:, 0], which) * by.weights[:, 0].reshape(shape)
    for k in range(1, by.places.shape[1]):
        total += values.take(by.places[:, k], which) * by.weights[:, k].reshape(shape)
    return total


def _weigh_in_2048ths(axis: Axis, image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Add weighted pixels up in whole numbers as OpenCV does: within the rows, then between them.

    The sum of two rows drops bits of each product, as OpenCV's does.
    """
    rows, columns = _axes(axis, window)
    used = np.unique(rows.places)
    order = np.searchsorted(used, rows.places)
    lines = _summed(_part(image, window)[used], columns, 1)
    products = [
        (lines[order[:, k]], rows.weights[:, k, np.newaxis, np.newaxis])
        for k in range(order.shape[1])
    ]
    total: NDArray[np.int64]
    if len(products) == 2:
        total = np.stack([(weight * (line >> 4)) >> 16 for line, weight in products]).sum(axis=0)
        return _bytes((total + 2) >> 2)
    total = np.stack([weight * line for line, weight in products]).sum(axis=0)
    return _bytes((total + (taps.FIXED * taps.FIXED >> 1)) >> 22)


def _cv2_area(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Average as INTER_AREA does: blocks of whole pixels in whole numbers, others in float32."""
    down, along = window.height / window.to_height, window.width / window.to_width
    if down < 1 or along < 1:
        return _weigh_in_2048ths(taps.cv2_area_enlarged, image, window)
    if (down, along) == (2, 2):
        return _bytes((_block_sums(image, window) + 2) >> 2)
    if down.is_integer() and along.is_integer():
        mean = np.float32(1) / np.float32(down * along)
        return rounded(_block_sums(image, window).astype(np.float32) * mean)
    return rounded(_weigh(taps.cv2_area, 1, image, window))


def _block_sums(image: NDArray[np.uint8], window: Window) -> NDArray[np.int64]:
    height, width = window.to_height, window.to_width
    blocks = _part(image, window).reshape(
        height, window.height // height, width, window.width // width, image.shape[2]
    )
    sums: NDArray[np.int64] = blocks.sum(axis=(1, 3), dtype=np.int64)
    return sums


def rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Round to the nearest byte, halves to the even one."""
    return values if values.dtype == np.uint8 else _bytes(np.rint(values))


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    clipped: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def _pillow(name: str, image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Resize with Pillow, whose filters reach beyond a crop's window."""
    try:
        from PIL import Image
    except ImportError as error:
        hint = "run: pip install pillow, or give an image of the model's size"
        raise EngineMissing("Pillow is needed to resize this image", hint=hint) from error
    flat = image[:, :, 0] if image.shape[2] == 1 else image
    box = (window.left, window.top, window.left + window.width, window.top + window.height)
    filters = getattr(Image, "Resampling", Image)
    size = (window.to_width, window.to_height)
    found = Image.fromarray(flat).resize(size, getattr(filters, name), box=box)
    array: NDArray[np.uint8] = np.array(found, dtype=np.uint8)
    return array.reshape(window.to_height, window.to_width, image.shape[2])


_BY_ROWS_FIRST, _BY_COLUMNS_FIRST = 1, 0

METHODS: dict[str, Callable[[NDArray[np.uint8], Window], NDArray[Any]]] = {
    "tf-nearest": partial(_pick, taps.tf_nearest),
    "tf-bilinear": partial(_interpolate, taps.tf_bilinear),
    "tf-bicubic": partial(_weigh, taps.tf_bicubic, 0),
    "tf-area": partial(_weigh, taps.tf_area, 1),
    "tf-lanczos3": partial(_weigh, taps.tf_spans(taps.lanczos(3), 3, antialias=False), 0),
    "tf-lanczos5": partial(_weigh, taps.tf_spans(taps.lanczos(5), 5, antialias=False), 0),
    "tf-bilinear-antialias": partial(_weigh, taps.tf_spans(taps.triangle, 1, antialias=True), 0),
    "tf-bicubic-antialias": partial(_weigh, taps.tf_spans(taps.keys_cubic, 2, antialias=True), 0),
    "tf-lanczos3-antialias": partial(_weigh, taps.tf_spans(taps.lanczos(3), 3, antialias=True), 0),
    "tf-lanczos5-antialias": partial(_weigh, taps.tf_spans(taps.lanczos(5), 5, antialias=True), 0),
    "pil-nearest": partial(_pillow, "NEAREST"),
    "pil-bilinear": partial(_pillow, "BILINEAR"),
    "pil-bicubic": partial(_pillow, "BICUBIC"),
    "pil-box": partial(_pillow, "BOX"),
    "pil-hamming": partial(_pillow, "HAMMING"),
    "pil-lanczos": partial(_pillow, "LANCZOS"),
    "cv2-nearest": partial(_pick, taps.cv2_nearest),
    "cv2-linear": partial(_weigh_in_2048ths, taps.cv2_linear),
    "cv2-cubic": partial(_weigh_in_2048ths, taps.cv2_cubic),
    "cv2-area": _cv2_area,
}
"""The function of each method of `manifest_schema.METHODS`."""
