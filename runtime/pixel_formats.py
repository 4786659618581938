"""Pixel formats: convert decoded images to the format, layout and dtype of a graph's input.

A camera delivers such arrays itself; the conversion is for images from files, and for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE_MULTIPLES = {"NV12": (2, 2), "YUYV": (1, 2)}
"""Pixel formats with subsampled chroma -> what an image's height and width must be multiples of."""

_BITS = 20
_Y = (269484, 528482, 102760)
_U = (-155188, -305135, 460324)
_V = (460324, -385875, -74448)
"""BT.601 in limited range, in units of 2^-20, as in OpenCV:
Y = 0.257 R + 0.504 G + 0.098 B + 16, U = -0.148 R - 0.291 G + 0.439 B + 128,
V = 0.439 R - 0.368 G - 0.071 B + 128."""


def encode(image: NDArray[Any], color: str, layout: str, dtype: str) -> NDArray[Any]:
    """Convert one image to the format of a model's input, without the batch dimension.

    `image` is RGB, [height, width, 3]; for the color "GRAY" it is [height, width, 1]. It is uint8,
    or float32 for an input of float32. Height and width must be multiples of `SIZE_MULTIPLES`.
    Pixels that share chroma get that of their mean colour. Alpha is 255.
    """
    array: NDArray[Any] = _ENCODERS.get(color, _unchanged)(image)
    if layout == "NCHW":
        array = array.transpose(2, 0, 1)
    return np.ascontiguousarray(array, dtype=np.dtype(dtype))


def _unchanged(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return rgb


def _bgr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return rgb[..., ::-1]


def _rgba(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)


def _bgra(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _rgba(_bgr(rgb))


def _nv12(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, _ = rgb.shape
    shared = _mean(rgb, 2)
    colours = np.stack([_weighted(shared, _U, 128), _weighted(shared, _V, 128)], axis=-1)
    rows = [_weighted(rgb, _Y, 16), colours.reshape(height // 2, width)]
    return np.concatenate(rows)[..., np.newaxis]


def _yuyv(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shared = _mean(rgb, 1)
    colours = np.stack([_weighted(shared, _U, 128), _weighted(shared, _V, 128)], axis=-1)
    return np.stack([_weighted(rgb, _Y, 16), colours.reshape(rgb.shape[:2])], axis=-1)


def _mean(rgb: NDArray[np.uint8], rows: int) -> NDArray[np.int64]:
    """Return the rounded mean of each block of `rows` x 2 pixels."""
    height, width, channels = rgb.shape
    blocks = rgb.reshape(height // rows, rows, width // 2, 2, channels).astype(np.int64)
    count = rows * 2
    mean: NDArray[np.int64] = (blocks.sum(axis=(1, 3)) + count // 2) // count
    return mean


def _weighted(rgb: NDArray[Any], weights: tuple[int, ...], offset: int) -> NDArray[np.uint8]:
    total = rgb.astype(np.int64) @ np.asarray(weights, np.int64)
    rounded: NDArray[np.uint8] = ((total + (1 << (_BITS - 1)) >> _BITS) + offset).astype(np.uint8)
    return rounded


_ENCODERS = {"BGR": _bgr, "RGBA": _rgba, "BGRA": _bgra, "NV12": _nv12, "YUYV": _yuyv}
