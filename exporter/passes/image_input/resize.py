"""Resizing in the graph: gather the source pixels, then sum them with their weights.

Every method is separable: an output row is a weighted sum of 1, 2 or 4 input rows, and likewise for
columns. The indices and weights depend on the size of the image, which is known at run time only.
Two Gathers take the source pixels as they are stored; only these pixels are decoded and converted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.graph.emit import Emitter
from kexport.graph.roles import Role

FLOAT, DOUBLE, INT64 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64

_KEYS = -0.5
"""The parameter of cubic convolution (R. Keys, 1981) that TensorFlow uses."""

_TABLE = 1024
"""Size of TensorFlow's table of cubic weights: positions between two pixels."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The source pixels along one axis of the result.

    `places`: int64 [target * taps], indices of source pixels, first those of the first result.
    `shares`: float32 [target * taps], their weights; None where one pixel makes one.
    """

    places: ir.Value
    shares: ir.Value | None
    target: int


@dataclass(frozen=True, slots=True)
class Window:
    """The source pixels of the result: rows and columns."""

    rows: Axis
    columns: Axis

    @property
    def blends(self) -> bool:
        """Whether a pixel of the result is a sum of several."""
        return self.rows.shares is not None


def coordinates(e: Emitter) -> Emitter:
    """Return the emitter of nodes that compute which pixels are read."""
    return e.part("positions", Role.COORDINATES)


def resizing(e: Emitter) -> Emitter:
    """Return the emitter of nodes that gather and sum pixels."""
    return e.part("resize", Role.PIXELS)


def with_number(e: Emitter, op_type: str, x: ir.Value, number: int) -> ir.Value:
    """Emit `op_type` on coordinates, int64, and one number."""
    c = coordinates(e)
    return c(op_type, x, c.constant([number], np.int64, "number"))


def extent(e: Emitter, x: ir.Value, axis: int) -> ir.Value:
    """Return the length of an axis, int64 [1]."""
    c, known = coordinates(e), (x.shape or ())[axis]
    if isinstance(known, int):
        return c.constant([known], np.int64, "extent")
    sizes = c("Shape", x)
    return c("Gather", sizes, c.constant([axis], np.int64, "axis"), name="extent")


def pick(e: Emitter, x: ir.Value, read: Axis, axis: int) -> ir.Value:
    """Gather the source pixels of `x` along one of its axes."""
    return resizing(e)("Gather", x, read.places, axis=axis)


def axis(
    e: Emitter, name: str, start: ir.Value | None, extent: ir.Value, target: int, resize: str
) -> Axis:
    """Compute the source pixels along one axis.

    Args:
        e: the emitter of the image input.
        name: "rows" or "columns".
        start: where the window begins, int64 [1]; None for 0.
        extent: the pixels of the window, int64 [1].
        target: the pixels of the result.
        resize: "nearest", "bilinear" or "bicubic": 1, 2 or 4 source pixels for one of the result.
    """
    make = {"nearest": _nearest, "bilinear": _bilinear, "bicubic": _bicubic}[resize]
    return make(coordinates(e).part(name), start, extent, target)


def blend(e: Emitter, x: ir.Value, read: Window) -> ir.Value:
    """Sum the source pixels with their weights: float32 NCHW, taps along both axes."""
    rows, columns = read.rows, read.columns
    if rows.shares is None or columns.shares is None:
        return x
    r = resizing(e)
    taps = (rows.places.shape or (0,))[0] // rows.target
    down = r("Unsqueeze", rows.shares, r.constant([1], np.int64, "axis"))
    shares = r("Mul", down, columns.shares, name="shares")
    x = r("Mul", x, shares)
    # the pool divides by the taps of a window; `shares` are that much larger
    return r("AveragePool", x, kernel_shape=[taps] * 2, strides=[taps] * 2)


def _nearest(e: Emitter, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    """Compute Pillow's: start + step / 2, then step by step, each sum rounded to float64."""
    step = e("Div", e.cast(extent, DOUBLE), e.constant([target], np.float64))
    steps = e("Mul", step, e.constant([0.5] + [1.0] * (target - 1), np.float64))
    if start is not None:
        first = e.constant([1.0] + [0.0] * (target - 1), np.float64)
        steps = e("Add", steps, e("Mul", e.cast(start, DOUBLE), first))
    places = e("CumSum", steps, e.constant(0, np.int64))
    return Axis(e.cast(e("Floor", places), INT64), None, target)


def _centres(e: Emitter, extent: ir.Value, target: int) -> ir.Value:
    """Compute TensorFlow's half-pixel centres, float32: (i + 1/2) * extent / target - 1/2."""
    scale = e("Div", e.cast(extent, FLOAT), e.constant([target], np.float32))
    halves = e.constant(np.arange(target, dtype=np.float32) + np.float32(0.5), np.float32)
    return e("Sub", e("Mul", halves, scale), e.constant(0.5, np.float32))


def _bilinear(e: Emitter, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    centres = _centres(e, extent, target)
    low = e("Floor", centres)
    share = e("Sub", centres, low)
    # 1 - share for the pixel before the centre, share for the one after it
    shares = e("Abs", e("Sub", _column(e, share), e.constant([1.0, 0.0], np.float32)))
    wanted = _wanted(e, low, (0, 1))
    places = _within(e, start, wanted, extent)
    return Axis(places, _flat(e, _times(e, shares, 2)), target)


def _bicubic(e: Emitter, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    """Apply Keys' kernel at the nearest 1/1024, normalised over the pixels inside the image."""
    centres = _centres(e, extent, target)
    low = e("Floor", centres)
    size = e.constant(float(_TABLE), np.float32)
    share = e("Div", e("Round", e("Mul", e("Sub", centres, low), size)), size)
    signs = e.constant([1.0, 1.0, -1.0, -1.0], np.float32)
    offsets = e.constant([1.0, 0.0, 1.0, 2.0], np.float32)
    distance = e("Add", e("Mul", _column(e, share), signs), offsets)
    inner, outer = (_KEYS + 2, -_KEYS - 3, 0.0, 1.0), (_KEYS, -5 * _KEYS, 8 * _KEYS, -4 * _KEYS)
    powers = [e.constant([o, i, i, o], np.float32) for o, i in zip(outer, inner, strict=True)]
    shares = powers[0]
    for power in powers[1:]:
        shares = e("Add", e("Mul", shares, distance), power)
    wanted = _wanted(e, low, (-1, 0, 1, 2))
    places = _within(e, None, wanted, extent)
    inside = e.cast(e("Equal", places, _flat(e, wanted)), FLOAT)
    shares = e("Mul", shares, e("Reshape", inside, e.constant([target, 4], np.int64)))
    total = e("ReduceSum", shares, e.constant([1], np.int64), keepdims=1)
    shares = _flat(e, _times(e, e("Div", shares, total), 4))
    return Axis(places if start is None else e("Add", places, start), shares, target)


def _column(e: Emitter, x: ir.Value) -> ir.Value:
    return e("Unsqueeze", x, e.constant([1], np.int64))


def _flat(e: Emitter, x: ir.Value) -> ir.Value:
    return e("Reshape", x, e.constant([-1], np.int64))


def _times(e: Emitter, shares: ir.Value, taps: int) -> ir.Value:
    return e("Mul", shares, e.constant(float(taps), np.float32))


def _wanted(e: Emitter, low: ir.Value, offsets: tuple[int, ...]) -> ir.Value:
    """Compute the pixels around each centre, those outside the image too: int64 [target, taps]."""
    whole = _column(e, e.cast(low, INT64))
    return e("Add", whole, e.constant(offsets, np.int64))


def _within(e: Emitter, start: ir.Value | None, wanted: ir.Value, extent: ir.Value) -> ir.Value:
    """Clamp coordinates to the image, and add the start of the window."""
    last = e("Sub", extent, e.constant(1, np.int64))
    there = _flat(e, e("Min", e("Max", wanted, e.constant(0, np.int64)), last))
    return there if start is None else e("Add", there, start)
