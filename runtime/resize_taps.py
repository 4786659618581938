"""Sampling along one axis: which source pixels make a resized one, and with which weights.

An axis function takes the source's and the result's number of pixels along an axis, and returns
its `Taps`. The results equal those of TensorFlow 2.21 (tensorflow/core/kernels/image/) and OpenCV
(modules/imgproc/src/resize.cpp), whose float32 and float64 roundings are kept in the same order.
`runtime/cpp/src/resize_taps.cpp` computes the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Kernel = Callable[[NDArray[np.float32]], NDArray[np.float32]]

F = np.float32
CUBIC_TABLE = 1024
"""TensorFlow looks the weights of its bicubic filter up at 1024 fractions of a pixel."""

FIXED = 2048
"""OpenCV's weights for bytes are whole numbers of this fraction."""


@dataclass(frozen=True)
class Taps:
    """For each of n resized positions, K source `places` and their `weights`, both [n, K].

    The sum of weighted sources is divided by `covered`. Places beyond a position's own number of
    sources have weight 0.
    """

    places: NDArray[np.int64]
    weights: NDArray[Any]
    covered: float = 1.0


def tf_nearest(before: int, after: int) -> Taps:
    """Take the source pixel under the centre of the resized one."""
    places = _clipped(
        np.floor((np.arange(after, dtype=F) + F(0.5)) * _scale(before, after)), before
    )
    return Taps(places[:, np.newaxis], np.ones((after, 1), F))


def tf_bilinear(before: int, after: int) -> Taps:
    """Interpolate between the two nearest pixels; the second weight is the way to the second."""
    at = _half_pixel_centres(before, after)
    lower = np.floor(at)
    places = np.stack([_clipped(lower, before), _clipped(np.ceil(at), before)], axis=1)
    return Taps(places, np.stack([F(1) - (at - lower), at - lower], axis=1))


def tf_bicubic(before: int, after: int) -> Taps:
    """Weigh four pixels by Keys' cubic (a = -0.5); weights outside the image are left out."""
    at = _half_pixel_centres(before, after)
    lower = np.floor(at)
    part = np.rint((at - lower) * F(CUBIC_TABLE)).astype(np.int64)
    near, far = _cubic_table()
    rest = CUBIC_TABLE - part
    weights = np.stack([far[part], near[part], near[rest], far[rest]], axis=1)
    places = lower.astype(np.int64)[:, np.newaxis] + np.arange(-1, 3)
    return Taps(
        _clipped(places, before), _normalized(np.where(_within(places, before), weights, 0))
    )


def tf_area(before: int, after: int) -> Taps:
    """Average the pixels that a resized one covers, each by the part that is covered."""
    scale = _scale(before, after)
    index = np.arange(after, dtype=F)
    start, end = (index * scale)[:, np.newaxis], ((index + F(1)) * scale)[:, np.newaxis]
    first, last = np.floor(start).astype(np.int64), np.ceil(end).astype(np.int64)
    places = first + np.arange(np.max(last - first))
    left = places.astype(F)
    inside = np.where(left + F(1) > end, end - left, F(1))
    cut = np.where(left + F(1) > end, scale, left + F(1) - start)
    weights = np.where(left < start, cut, inside)
    return Taps(_clipped(places, before), np.where(places < last, weights, F(0)), float(scale))


def tf_spans(kernel: Kernel, radius: float, *, antialias: bool) -> Callable[[int, int], Taps]:
    """Return the axis function of ScaleAndTranslate for a kernel of that radius, in pixels.

    With `antialias`, the kernel is widened where the image shrinks.
    """

    def axis(before: int, after: int) -> Taps:
        step = F(1) / (F(after) / F(before))
        wide = max(step, F(1)) if antialias else F(1)
        centres = (np.arange(after, dtype=F) + F(0.5)) * step
        reach = F(radius) * wide
        first = _clipped(np.ceil(centres - reach - F(0.5)), before)
        last = _clipped(np.floor(centres + reach - F(0.5)), before)
        places = first[:, np.newaxis] + np.arange(np.max(last - first) + 1)
        distance = ((places.astype(F) + F(0.5)) - centres[:, np.newaxis]) * (F(1) / wide)
        weights = np.where(places <= last[:, np.newaxis], kernel(distance), F(0))
        return Taps(_clipped(places, before), _normalized(weights))

    return axis


def triangle(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bilinear kernel at distances, of radius 1."""
    return np.maximum(F(1) - np.abs(x), F(0))


def keys_cubic(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Keys' cubic (a = -0.5) at distances, of radius 2."""
    at = np.abs(x)
    near = ((F(1.5) * at - F(2.5)) * at) * at + F(1)
    far = ((F(-0.5) * at + F(2.5)) * at - F(4)) * at + F(2)
    return np.where(at >= 2, F(0), np.where(at >= 1, far, near))


def lanczos(radius: int) -> Kernel:
    """Return the Lanczos kernel of a radius."""
    pi, wide = F(math.pi), F(radius)

    def kernel(x: NDArray[np.float32]) -> NDArray[np.float32]:
        at = np.maximum(np.abs(x), F(1e-3))
        product = wide * _sines(pi * at) * _sines(pi * at / wide)
        values = product / (pi * pi * at * at)
        return np.where(np.abs(x) > wide, F(0), np.where(np.abs(x) <= F(1e-3), F(1), values))

    return kernel


def _sines(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute sines with the C library, because NumPy's own may differ in the last digit."""
    return np.array([math.sin(one) for one in x.ravel().tolist()], F).reshape(x.shape)


def cv2_nearest(before: int, after: int) -> Taps:
    """Take the source pixel under the start of the resized one."""
    places = _clipped(np.floor(np.arange(after) * _exact_scale(before, after)), before)
    return Taps(places[:, np.newaxis], np.ones((after, 1), np.int64))


def cv2_linear(before: int, after: int) -> Taps:
    """Interpolate between the two nearest pixels, in 2048ths."""
    at = ((np.arange(after) + 0.5) * _exact_scale(before, after) - 0.5).astype(F)
    lower = np.floor(at)
    return _two(lower.astype(np.int64), at - lower, before)


def cv2_area_enlarged(before: int, after: int) -> Taps:
    """Interpolate as INTER_AREA does where an axis grows: flat, with a ramp at each border."""
    scale = _exact_scale(before, after)
    index = np.arange(after)
    lower = np.floor(index * scale).astype(np.int64)
    part = ((index + 1) - (lower + 1) * (after / before)).astype(F)
    return _two(lower, np.where(part <= 0, F(0), part - np.floor(part)), before)


def cv2_cubic(before: int, after: int) -> Taps:
    """Weigh four pixels by the cubic of a = -0.75, in 2048ths; the border's pixel is repeated."""
    at = ((np.arange(after) + 0.5) * _exact_scale(before, after) - 0.5).astype(F)
    lower = np.floor(at)
    x, a, one = at - lower, F(-0.75), F(1)
    far = ((a * (x + one) - F(5) * a) * (x + one) + F(8) * a) * (x + one) - F(4) * a
    near = ((a + F(2)) * x - (a + F(3))) * x * x + one
    y = one - x
    next_ = ((a + F(2)) * y - (a + F(3))) * y * y + one
    weights = np.stack([far, near, next_, one - far - near - next_], axis=1)
    places = lower.astype(np.int64)[:, np.newaxis] + np.arange(-1, 3)
    return Taps(_clipped(places, before), _in_2048ths(weights))


def cv2_area(before: int, after: int) -> Taps:
    """Average the pixels that a resized one covers, for an axis that does not grow."""
    scale = _exact_scale(before, after)
    start = np.arange(after) * scale
    end = start + scale
    cell = np.minimum(scale, before - start)
    last = np.minimum(np.floor(end), before - 1)
    first = np.minimum(np.ceil(start), last)
    places = (first - 1).astype(np.int64)[:, np.newaxis] + np.arange(int(np.max(last - first)) + 2)
    head = np.where(first - start > 1e-3, (first - start) / cell, 0.0)
    tail = np.where(end - last > 1e-3, np.minimum(np.minimum(end - last, 1.0), cell) / cell, 0.0)
    parts = [
        places < first[:, np.newaxis],
        places < last[:, np.newaxis],
        places == last[:, np.newaxis],
    ]
    shares = [one[:, np.newaxis] for one in (head, 1.0 / cell, tail)]
    return Taps(_clipped(places, before), np.select(parts, shares).astype(F))


def _scale(before: int, after: int) -> np.float32:
    return F(before) / F(after)


def _exact_scale(before: int, after: int) -> float:
    return 1.0 / (after / before)


def _half_pixel_centres(before: int, after: int) -> NDArray[np.float32]:
    return (np.arange(after, dtype=F) + F(0.5)) * _scale(before, after) - F(0.5)


def _clipped(places: NDArray[Any], before: int) -> NDArray[np.int64]:
    clipped: NDArray[np.int64] = np.clip(places, 0, before - 1).astype(np.int64)
    return clipped


def _within(places: NDArray[np.int64], before: int) -> NDArray[np.bool_]:
    return (places >= 0) & (places < before)


def _normalized(weights: NDArray[Any]) -> NDArray[np.float32]:
    """Scale each row of weights to a sum of 1; the sum is taken from left to right."""
    in_float32: NDArray[np.float32] = weights.astype(F)
    total = in_float32[:, 0]
    for column in range(1, weights.shape[1]):
        total = total + in_float32[:, column]
    return in_float32 * (F(1) / total)[:, np.newaxis]


def _cubic_table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cubic's weights at 0 to 1 pixels of distance, and at 1 to 2."""
    a = -0.5
    x = (np.arange(CUBIC_TABLE + 1) / CUBIC_TABLE).astype(F).astype(np.float64)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    return near.astype(F), (((a * x - 5 * a) * x + 8 * a) * x - 4 * a).astype(F)


def _two(lower: NDArray[np.int64], part: NDArray[np.float32], before: int) -> Taps:
    weights = _in_2048ths(np.stack([F(1) - part, part], axis=1))
    return Taps(_clipped(np.stack([lower, lower + 1], axis=1), before), weights)


def _in_2048ths(weights: NDArray[np.float32]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(weights * F(FIXED)).astype(np.int64)
    return whole
