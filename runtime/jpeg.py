"""JPEG files as TensorFlow decodes them, with the decoder that Pillow brings.

`tf.io.decode_jpeg` and `decode_image` ask libjpeg-turbo for its fast inverse transform by default,
Pillow for the accurate one, so that their pixels differ by a level on average. Pillow's decoder has
the fast one too, as a part of its draft mode. That mode repeats the chroma of a subsampled file and
does not interpolate it; the interpolation and the conversion to RGB are done here, in the integers
of libjpeg-turbo ("fancy upsampling" in `jdsample.c`, and `jdcolor.c`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Plane = NDArray[np.int16]

_LETTERS = (82, 71, 66)
"""The ids of components that are red, green and blue, where nothing else tells."""

_SMALLEST = 3
"""The smallest width of a subsampled plane that libjpeg-turbo interpolates sideways."""

_STRIP = 64
"""How many rows are converted to RGB at a time, so that they stay in the cache."""


def tensorflow_pixels(image: Image, mode: str) -> NDArray[np.uint8] | None:
    """Return the pixels of a JPEG file, uint8 [h, w, 3], or [h, w, 1] if it or `mode` is grey.

    `mode` is "RGB" or "L". The image itself is left as it is. Returns None if it is no JPEG file of
    one or three components, or is decoded already.

    Raises what Pillow does for a damaged file.
    """
    from PIL import Image as pillow

    file = getattr(image, "fp", None)
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB") or file is None:
        return None
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    with pillow.open(io.BytesIO(content)) as own:
        steps = _chroma_steps(own)
        if mode == "L" or steps in ((1, 1), None):
            own.draft(mode, None)
            return _fast(own)
        own.draft("YCbCr", None)
        return _rgb(_fast(own), *steps)


def _fast(image: Any) -> NDArray[np.uint8]:
    """Decode with the fast transform, [h, w, c]; chroma is repeated and not interpolated."""
    image.decoderconfig = (1, 1)  # full size, draft
    pixels = np.array(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _chroma_steps(image: Any) -> tuple[int, int] | None:
    """Return how many rows and columns of pixels share a chroma value, each 1 or 2.

    None stands for what libjpeg-turbo does not interpolate.
    """
    ids, across, down, _ = zip(*image.layer)
    if len(ids) != 3 or _is_rgb(image.info, ids):
        return None
    if across[1:] != (1, 1) or down[1:] != (1, 1) or max(across[0], down[0]) > 2:
        return None
    return down[0], across[0]


def _is_rgb(info: dict[str, Any], ids: tuple[int, ...]) -> bool:
    """Whether the components are red, green and blue: as `default_decompress_parms` in libjpeg."""
    if "jfif" in info:
        return False
    return info["adobe_transform"] == 0 if "adobe_transform" in info else ids == _LETTERS


def _rgb(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Return RGB from Y, Cb and Cr, [h, w, 3]; chroma is repeated `rows` by `columns` times."""
    height, width = pixels.shape[:2]
    blue, red = (_interpolated(pixels[::rows, ::columns, at], rows, columns) for at in (1, 2))
    found = np.empty_like(pixels)
    for top in range(0, height, _STRIP):
        strip = slice(top, min(top + _STRIP, height))
        y = pixels[strip, :, 0].astype(np.int32)
        cb, cr = (plane[strip, :width].astype(np.int32) - 128 for plane in (blue, red))
        parts = (
            y + ((91881 * cr + 32768) >> 16),
            y + ((-22554 * cb - 46802 * cr + 32768) >> 16),
            y + ((116130 * cb + 32768) >> 16),
        )
        for at, part in enumerate(parts):
            found[strip, :, at] = np.clip(part, 0, 255, out=part)
    return found


def _interpolated(plane: NDArray[np.uint8], rows: int, columns: int) -> Plane:
    """Enlarge a plane with weights of 3/4 for the nearer and 1/4 for the farther value.

    The sums over both axes are rounded once, up and down in turn.
    """
    sums = plane.astype(np.int16)
    if columns == 2 and plane.shape[1] < _SMALLEST:
        return sums.repeat(rows, axis=0).repeat(2, axis=1)
    if rows == 2:
        sums = _sums(sums, 0)
    if columns == 1:
        sums[0::2] += 1
        sums[1::2] += 2
        return sums >> 2
    sums = _sums(sums, 1)
    first, second, bits = (8, 7, 4) if rows == 2 else (1, 2, 2)
    sums[:, 0::2] += first
    sums[:, 1::2] += second
    return sums >> bits


def _sums(plane: Plane, axis: int) -> Plane:
    """Return 3 times each value plus that before it, and plus that after it, in turn."""
    height, width = plane.shape
    found = np.empty((2 * height, width) if axis == 0 else (height, 2 * width), np.int16)
    source, target = (plane, found) if axis == 0 else (plane.T, found.T)
    even, odd = target[0::2], target[1::2]
    np.multiply(source, 3, out=even)
    odd[:] = even
    even[1:] += source[:-1]
    even[0] += source[0]
    odd[:-1] += source[1:]
    odd[-1] += source[-1]
    return found
