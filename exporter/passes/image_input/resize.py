"""Takes from an image the pixels that a resize reads, and blends them.

Every resize here is separable: an output row is a sum of a few input rows, and so for columns.
Their numbers follow from the image's size, which only run time knows, and so does their share.
Two Gathers take the pixels out, as bytes; only those are decoded, converted and multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.graph.emit import Steps

FLOAT, DOUBLE, INT64 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64

POSITIONS = "image/positions"
"""How the names of nodes begin that compute positions: no task for float16."""

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}
"""How many pixels along an axis make one of the result."""

_KEYS = -0.5
"""The parameter of cubic convolution (R. Keys, 1981) with which TensorFlow resizes."""

_TABLE = 1024
"""TensorFlow looks cubic weights up for this many positions between two pixels."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What one axis of the result reads.

    `places`: int64 [target * taps], the pixels to read, first those of the first result. `shares`:
    float32 [target * taps], what to multiply them by; None where one pixel makes one.
    """

    places: ir.Value
    shares: ir.Value | None
    target: int


@dataclass(frozen=True, slots=True)
class Window:
    """What the result reads: rows and columns."""

    rows: Axis
    columns: Axis

    @property
    def blends(self) -> bool:
        """Whether several pixels make one."""
        return self.rows.shares is not None


def pick(e: Steps, x: ir.Value, read: Axis, axis: int) -> ir.Value:
    """The pixels of `x` that are read along one of its axes."""
    return e("resize/Gather", "Gather", x, read.places, axis=axis)


def axis(
    e: Steps, name: str, start: ir.Value | None, extent: ir.Value, target: int, resize: str
) -> Axis:
    """Find out what to read along one axis.

    Args:
        e: where the nodes go.
        name: "rows" or "columns".
        start: where the window begins, int64 [1]; None for 0.
        extent: how many pixels the window has, int64 [1].
        target: how many the result has.
        resize: a key of `TAPS`.
    """
    make = {"nearest": _nearest, "bilinear": _bilinear, "bicubic": _bicubic}[resize]
    return make(_Names(e, f"positions/{name}"), start, extent, target)


def blend(e: Steps, x: ir.Value, read: Window) -> ir.Value:
    """Make the result of the pixels that were read: float32 NCHW, taps along both axes."""
    rows, columns = read.rows, read.columns
    if rows.shares is None or columns.shares is None:
        return x
    taps = (rows.places.shape or (0,))[0] // rows.target
    down = e("resize/Unsqueeze", "Unsqueeze", rows.shares, e.constant("resize/axis", [1], np.int64))
    shares = e("resize/shares", "Mul", down, columns.shares)
    x = e("resize/Mul", "Mul", x, shares)
    # the pool divides by the taps of a window; `shares` are that much larger
    return e("resize/AveragePool", "AveragePool", x, kernel_shape=[taps] * 2, strides=[taps] * 2)


class _Names:
    """Emits nodes whose names begin with one prefix."""

    def __init__(self, e: Steps, prefix: str) -> None:
        self._e = e
        self._prefix = prefix

    def __call__(self, op_type: str, *inputs: ir.Value, **attributes: object) -> ir.Value:
        return self._e(f"{self._prefix}/{op_type}", op_type, *inputs, **attributes)

    def constant(self, array: object, dtype: object) -> ir.Value:
        return self._e.constant(f"{self._prefix}/constant", array, dtype)

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        return self("Cast", value, to=dtype.value)


def _nearest(e: _Names, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    """Pillow's: start + step / 2, then step after step, each sum rounded to float64."""
    step = e("Div", e.cast(extent, DOUBLE), e.constant([target], np.float64))
    steps = e("Mul", step, e.constant([0.5] + [1.0] * (target - 1), np.float64))
    if start is not None:
        first = e.constant([1.0] + [0.0] * (target - 1), np.float64)
        steps = e("Add", steps, e("Mul", e.cast(start, DOUBLE), first))
    places = e("CumSum", steps, e.constant(0, np.int64))
    return Axis(e.cast(e("Floor", places), INT64), None, target)


def _centres(e: _Names, extent: ir.Value, target: int) -> ir.Value:
    """TensorFlow's half-pixel centres, float32 [target]: (i + 1/2) * extent / target - 1/2."""
    scale = e("Div", e.cast(extent, FLOAT), e.constant([target], np.float32))
    halves = e.constant(np.arange(target, dtype=np.float32) + np.float32(0.5), np.float32)
    return e("Sub", e("Mul", halves, scale), e.constant(0.5, np.float32))


def _bilinear(e: _Names, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    centres = _centres(e, extent, target)
    low = e("Floor", centres)
    share = e("Sub", centres, low)
    # of the pixel before the centre 1 - share, of the one behind it share
    shares = e("Abs", e("Sub", _column(e, share), e.constant([1.0, 0.0], np.float32)))
    wanted = _wanted(e, low, (0, 1))
    places = _within(e, start, wanted, extent)
    return Axis(places, _flat(e, _times(e, shares, 2)), target)


def _bicubic(e: _Names, start: ir.Value | None, extent: ir.Value, target: int) -> Axis:
    """Keys' kernel at the nearest 1/1024; pixels outside do not count, and the rest makes 1."""
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


def _column(e: _Names, x: ir.Value) -> ir.Value:
    return e("Unsqueeze", x, e.constant([1], np.int64))


def _flat(e: _Names, x: ir.Value) -> ir.Value:
    return e("Reshape", x, e.constant([-1], np.int64))


def _times(e: _Names, shares: ir.Value, taps: int) -> ir.Value:
    return e("Mul", shares, e.constant(float(taps), np.float32))


def _wanted(e: _Names, low: ir.Value, offsets: tuple[int, ...]) -> ir.Value:
    """The pixels around each centre, also those that are not there: int64 [target, taps]."""
    whole = _column(e, e.cast(low, INT64))
    return e("Add", whole, e.constant(offsets, np.int64))


def _within(e: _Names, start: ir.Value | None, wanted: ir.Value, extent: ir.Value) -> ir.Value:
    """The nearest pixels that are there."""
    last = e("Sub", extent, e.constant(1, np.int64))
    there = _flat(e, e("Min", e("Max", wanted, e.constant(0, np.int64)), last))
    return there if start is None else e("Add", there, start)
