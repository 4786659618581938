"""Makes RGB or grey out of what cameras store, in whole numbers, as OpenCV and Pillow do."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.passes.sampling import Window, pick
from kexport.passes.steps import Steps
from kexport.shapes import dims

FLOAT, INT32 = ir.DataType.FLOAT, ir.DataType.INT32

YUV_BITS = 20
YUV_LUMA = 1220542
YUV_U = (0, -409993, 2116026)
YUV_V = (1673527, -852492, 0)
"""BT.601, limited range, in units of 2^-20, as OpenCV has it (modules/imgproc/src/color_yuv):
R = 1.164 (Y - 16) + 1.596 (V - 128), G = 1.164 (Y - 16) - 0.813 (V - 128) - 0.391 (U - 128),
B = 1.164 (Y - 16) + 2.018 (U - 128)."""

GREY_BITS = 16
GREY = (19595, 38470, 7471)
"""ITU-R 601-2 luma in units of 2^-16, as Pillow's mode L has it: 0.299 R + 0.587 G + 0.114 B."""


def rgb_from_yuv(e: Steps, luma: ir.Value, chroma: ir.Value) -> ir.Value:
    """RGB 0..255 as int32 [N, 3, H, W].

    Args:
        e: where the nodes go.
        luma: Y, uint8 [N, 1, H, W].
        chroma: U and V, uint8 [N, 2, H, W].
    """
    y, uv = (e.cast("decode/Cast", value, INT32) for value in (luma, chroma))
    u, v = (channels(e, uv, 1, at, at + 1) for at in (0, 1))
    floor = e.constant("decode/16", 16, np.int32)
    y = e("decode/luma", "Sub", e("decode/Max", "Max", y, floor), floor)
    y = e("decode/luma", "Mul", y, e.constant("decode/luma", YUV_LUMA, np.int32))
    half = 1 << (YUV_BITS - 1)
    centred = [half - 128 * (a + b) for a, b in zip(YUV_U, YUV_V, strict=True)]
    u = e("decode/u", "Mul", u, e.constant("decode/u", _channels(YUV_U), np.int32))
    v = e("decode/v", "Mul", v, e.constant("decode/v", _channels(YUV_V), np.int32))
    uv = e("decode/Add", "Add", u, v)
    uv = e("decode/Add", "Add", uv, e.constant("decode/centre", _channels(centred), np.int32))
    return _rounded(e, e("decode/Add", "Add", uv, y), YUV_BITS)


def grey_from_rgb(e: Steps, x: ir.Value, *, reverse: bool) -> ir.Value:
    """Grey [N, 1, H, W]: whole numbers as int32, and float32 not rounded.

    Args:
        e: where the nodes go.
        x: uint8, int32 or float32 [N, 3, H, W].
        reverse: whether the channels are in the order BGR.
    """
    parts = _channels(GREY[::-1] if reverse else GREY)
    axes = e.constant("grey/axes", [1], np.int64)
    if x.dtype == FLOAT:
        weights = e.constant("grey/parts", parts / (1 << GREY_BITS), np.float32)
        return e("grey/ReduceSum", "ReduceSum", e("grey/Mul", "Mul", x, weights), axes)
    x = e(
        "grey/Mul", "Mul", e.cast("grey/Cast", x, INT32), e.constant("grey/parts", parts, np.int32)
    )
    total = e("grey/ReduceSum", "ReduceSum", x, axes)
    half = e.constant("grey/half", 1 << (GREY_BITS - 1), np.int32)
    return _shifted(e, e("grey/Add", "Add", total, half), GREY_BITS)


def height(e: Steps, image: ir.Value, axis: int, form: str) -> ir.Value:
    """The height of the pictures in `image`, int64 [1]; its rows count along `axis`."""
    rows = e.extent(image, axis)
    return e.whole("Div", e.whole("Mul", rows, 2), 3) if form == "nv12" else rows


def channels(e: Steps, x: ir.Value, axis: int, start: int, end: int, step: int = 1) -> ir.Value:
    """Some channels of `x`."""
    bounds = (e.constant("decode/bound", [bound], np.int64) for bound in (start, end, axis, step))
    return e("decode/Slice", "Slice", x, *bounds)


def nv12_planes(e: Steps, image: ir.Value, read: Window | None) -> tuple[ir.Value, ir.Value]:
    """Luma [N, 1, H, W] and chroma [N, 2, H, W] of nv12: of the pixels that are read, or of all."""
    batch, _, width, _ = dims(image)
    tall = height(e, image, 1, "nv12")
    if read is None:
        zero, one = (e.constant("decode/bound", [bound], np.int64) for bound in (0, 1))
        luma = e("decode/Slice", "Slice", image, zero, tall, one)
        rows = _count(e, tall, ir.SymbolicDim("height"))
        luma.shape = ir.Shape([batch, *(rows.shape or ()), width, 1])
        columns = _count(e, e.extent(image, 2), width)
    else:
        rows, columns = read.rows.places, read.columns.places
        luma = pick(e, pick(e, image, read.rows, 1), read.columns, 2)
    below = e("positions/Add", "Add", e.whole("Div", rows, 2), tall)
    chroma = e("decode/rows", "Gather", image, below, axis=1)
    return _planar(e, luma), _planar(e, _beside(e, chroma, 2, columns))


def yuyv_planes(e: Steps, image: ir.Value, read: Window | None) -> tuple[ir.Value, ir.Value]:
    """The same of yuyv, where two pixels are Y U Y V."""
    if read is None:
        luma = chroma = image
        columns = _count(e, e.extent(image, 2), dims(image)[2])
    else:
        chroma, columns = pick(e, image, read.rows, 1), read.columns.places
        luma = pick(e, chroma, read.columns, 2)
    pairs = _planar(e, _beside(e, chroma, 4, columns))
    return channels(e, _planar(e, luma), 1, 0, 1), channels(e, pairs, 1, 1, 4, 2)


PLANES = {"nv12": nv12_planes, "yuyv": yuyv_planes}
"""How to take apart the formats whose pixels share colours."""


def _count(e: Steps, extent: ir.Value, dim: int | ir.SymbolicDim) -> ir.Value:
    """0, 1, ... below an extent, int64; `dim` is what the extent is called."""
    scalar = e("positions/Squeeze", "Squeeze", extent, e.constant("positions/0", [0], np.int64))
    first, step = (e.constant("positions/scalar", number, np.int64) for number in (0, 1))
    numbers = e("positions/Range", "Range", first, scalar, step)
    if None in (numbers.shape or (None,)):
        numbers.shape = ir.Shape([dim])
    return numbers


def _beside(e: Steps, x: ir.Value, numbers: int, columns: ir.Value) -> ir.Value:
    """Of every column the numbers that it shares with its neighbour: NHWC, C is `numbers`."""
    pairs = e.constant("decode/pairs", [0, 0, -1, numbers], np.int64)
    shared = e("decode/Reshape", "Reshape", x, pairs)
    if not isinstance(dims(shared)[2], int):
        shared.shape = ir.Shape([*dims(x)[:2], "pairs", numbers])
    return e("decode/columns", "Gather", shared, e.whole("Div", columns, 2), axis=2)


def _planar(e: Steps, x: ir.Value) -> ir.Value:
    return e("decode/Transpose", "Transpose", x, perm=[0, 3, 1, 2])


def _rounded(e: Steps, x: ir.Value, bits: int) -> ir.Value:
    limits = e.constant("decode/0", 0, np.int32), e.constant("decode/255", 255, np.int32)
    return e("decode/Clip", "Clip", _shifted(e, x, bits), *limits)


def _shifted(e: Steps, x: ir.Value, bits: int) -> ir.Value:
    """x / 2^bits, the fraction cut off; what is below zero is clipped afterwards."""
    return e("decode/Div", "Div", x, e.constant("decode/unit", 1 << bits, np.int32))


def _channels(numbers: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(numbers, np.int64).reshape(1, 3, 1, 1)
