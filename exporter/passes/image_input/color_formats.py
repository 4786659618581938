"""Makes RGB or grey out of what cameras store, in whole numbers, as OpenCV and Pillow do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.graph.emit import Steps
from kexport.graph.shapes import dims
from kexport.passes.image_input.resize import Window, pick

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


@dataclass(frozen=True, slots=True)
class Planes:
    """An image taken apart: uint8, of the pixels that are read or of all."""

    luma: ir.Value
    """Y, [N, 1, H, W]."""
    chroma: ir.Value
    """U and V, [N, 2, H / rows, W / columns]."""
    rows: int
    columns: int
    """How many rows and columns of luma share a row and a column of chroma: 1 or 2."""


def rgb_from_yuv(e: Steps, planes: Planes) -> ir.Value:
    """RGB, whole numbers in 0..255 as float32 [N, 3, H, W]."""
    y, uv = (e.cast("decode/Cast", value, INT32) for value in (planes.luma, planes.chroma))
    u, v = (channels(e, uv, at) for at in (0, 1))
    y = e("decode/Max", "Max", y, e.constant("decode/16", 16, np.int32))
    y = e("decode/luma", "Mul", y, e.constant("decode/luma", YUV_LUMA, np.int32))
    start = (1 << (YUV_BITS - 1)) - 16 * YUV_LUMA
    centred = [start - 128 * (a + b) for a, b in zip(YUV_U, YUV_V, strict=True)]
    u = e("decode/u", "Mul", u, e.constant("decode/u", _channels(YUV_U), np.int32))
    v = e("decode/v", "Mul", v, e.constant("decode/v", _channels(YUV_V), np.int32))
    uv = e("decode/Add", "Add", u, v)
    uv = e("decode/Add", "Add", uv, e.constant("decode/centre", _channels(centred), np.int32))
    if planes.columns == 2:
        uv = _beside(e, uv)
    rgb = _below(e, y, uv) if planes.rows == 2 else e("decode/Add", "Add", uv, y)
    whole = e.cast("decode/Cast", _shifted(e, rgb, YUV_BITS), FLOAT)
    limits = (e.constant(f"decode/{limit}", limit, np.float32) for limit in (0, 255))
    return e("decode/Clip", "Clip", whole, *limits)


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
    """The height of the images in `image`, int64 [1]; its rows count along `axis`."""
    rows = e.extent(image, axis)
    return e.whole("Div", e.whole("Mul", rows, 2), 3) if form == "nv12" else rows


def channels(e: Steps, x: ir.Value, *places: int) -> ir.Value:
    """Some channels of `x`, NCHW.

    A Gather and no Slice: ONNX Runtime 1.31 moves a Transpose behind a Slice, which then reads
    single bytes (40 times slower on the CPU).
    """
    return e("decode/Gather", "Gather", x, e.constant("decode/channels", places, np.int64), axis=1)


def without_alpha(e: Steps, x: ir.Value, axis: int) -> ir.Value:
    """The first three channels of `x`, which stand along `axis`."""
    bounds = (e.constant("decode/bound", [bound], np.int64) for bound in (0, 3, axis, 1))
    return e("decode/Slice", "Slice", x, *bounds)


def nv12_planes(e: Steps, image: ir.Value, read: Window | None) -> Planes:
    """Those of nv12: H rows of Y, and below them H / 2 rows of U V U V ..."""
    batch, _, width, _ = dims(image)
    tall = height(e, image, 1, "nv12")
    if read is None:
        zero, one, end = (e.constant("decode/bound", [at], np.int64) for at in (0, 1, LAST))
        luma = e("decode/Slice", "Slice", image, zero, tall, one)
        if not isinstance(dims(luma)[1], int):
            luma.shape = ir.Shape([batch, "height", width, 1])
        chroma = _pairs(e, e("decode/Slice", "Slice", image, tall, end, one), 2)
        return Planes(_planar(e, luma), _planar(e, chroma), 2, 2)
    luma = pick(e, pick(e, image, read.rows, 1), read.columns, 2)
    below = e("positions/Add", "Add", e.whole("Div", read.rows.places, 2), tall)
    chroma = _pairs(e, e("decode/rows", "Gather", image, below, axis=1), 2)
    return Planes(_planar(e, luma), _planar(e, _shared(e, chroma, read)), 1, 1)


def yuyv_planes(e: Steps, image: ir.Value, read: Window | None) -> Planes:
    """Those of yuyv, where two pixels are Y U Y V."""
    if read is None:
        pairs = _planar(e, _pairs(e, image, 4))
        luma = channels(e, _planar(e, image), 0)
        return Planes(luma, channels(e, pairs, 1, 3), 1, 2)
    rows = pick(e, image, read.rows, 1)
    luma = channels(e, _planar(e, pick(e, rows, read.columns, 2)), 0)
    pairs = _planar(e, _shared(e, _pairs(e, rows, 4), read))
    return Planes(luma, channels(e, pairs, 1, 3), 1, 1)


PLANES = {"nv12": nv12_planes, "yuyv": yuyv_planes}
"""How to take apart the formats whose pixels share colours."""

LAST = np.iinfo(np.int64).max
"""The end of an axis, for a Slice."""


def _pairs(e: Steps, x: ir.Value, numbers: int) -> ir.Value:
    """NHWC with the numbers of two neighbouring pixels together: [N, H, W / 2, numbers]."""
    shape = e.constant("decode/pairs", [0, 0, -1, numbers], np.int64)
    paired = e("decode/Reshape", "Reshape", x, shape)
    if not isinstance(dims(paired)[2], int):
        paired.shape = ir.Shape([*dims(x)[:2], "pairs", numbers])
    return paired


def _shared(e: Steps, pairs: ir.Value, read: Window) -> ir.Value:
    """What each column that is read shares with its neighbour: NHWC."""
    return e("decode/columns", "Gather", pairs, e.whole("Div", read.columns.places, 2), axis=2)


def _beside(e: Steps, x: ir.Value) -> ir.Value:
    """Every column twice: NCHW."""
    apart = e("decode/Unsqueeze", "Unsqueeze", x, e.constant("decode/last", [4], np.int64))
    twice = e("decode/Concat", "Concat", apart, apart, axis=4)
    shape = e.constant("decode/joined", [0, 0, 0, -1], np.int64)
    joined = e("decode/Reshape", "Reshape", twice, shape)
    if not isinstance(dims(joined)[3], int):
        joined.shape = ir.Shape([*dims(x)[:3], "width"])
    return joined


def _below(e: Steps, y: ir.Value, uv: ir.Value) -> ir.Value:
    """y + uv, NCHW, where two rows of y, one channel, share one of uv, three."""
    wide = e.extent(y, 3)

    def spelt(x: ir.Value, *leading: int) -> ir.Value:
        shape = e(
            "positions/Concat",
            "Concat",
            e.constant("positions/rows", leading, np.int64),
            wide,
            axis=0,
        )
        return e("decode/Reshape", "Reshape", x, shape)

    total = e("decode/Add", "Add", spelt(uv, 0, 3, -1, 1), spelt(y, 0, 1, -1, 2))
    rgb = spelt(total, 0, 3, -1)
    if not isinstance(dims(rgb)[2], int):
        rgb.shape = ir.Shape([dims(y)[0], 3, *dims(y)[2:]])
    return rgb


def _planar(e: Steps, x: ir.Value) -> ir.Value:
    return e("decode/Transpose", "Transpose", x, perm=[0, 3, 1, 2])


def _shifted(e: Steps, x: ir.Value, bits: int) -> ir.Value:
    """x / 2^bits, the fraction cut off; what is below zero is clipped afterwards."""
    return e("decode/Div", "Div", x, e.constant("decode/unit", 1 << bits, np.int32))


def _channels(numbers: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(numbers, np.int64).reshape(1, 3, 1, 1)
