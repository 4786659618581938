"""Colour formats: RGB and grey from camera formats, in integers, as in OpenCV and Pillow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.graph.emit import Emitter
from kexport.graph.roles import Role
from kexport.graph.shapes import dims
from kexport.passes.image_input.resize import Window, coordinates, extent, pick, with_number

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
"""ITU-R 601-2 luma in units of 2^-16, as in Pillow's mode L: 0.299 R + 0.587 G + 0.114 B."""

LAST = np.iinfo(np.int64).max
"""The end of an axis, for a Slice."""


@dataclass(frozen=True, slots=True)
class Planes:
    """Luma and chroma of an image, uint8: of all pixels, or of those that a resize reads."""

    luma: ir.Value
    """Y, [N, 1, H, W]."""
    chroma: ir.Value
    """U and V, [N, 2, H / rows, W / columns]."""
    rows: int
    columns: int
    """Rows and columns of luma that share a row and a column of chroma: 1 or 2."""


def decoding(e: Emitter) -> Emitter:
    """Return the emitter of nodes that decode a colour format."""
    return e.part("decode", Role.PIXELS)


def to_grey(e: Emitter) -> Emitter:
    """Return the emitter of nodes that convert colours to grey."""
    return e.part("grey", Role.PIXELS)


def rgb_from_yuv(e: Emitter, planes: Planes) -> ir.Value:
    """Return RGB: integers in 0..255 as float32 [N, 3, H, W]."""
    d = decoding(e)
    y, uv = (d.cast(value, INT32) for value in (planes.luma, planes.chroma))
    u, v = (channels(e, uv, at) for at in (0, 1))
    y = d("Max", y, d.constant(16, np.int32, "16"))
    y = d("Mul", y, d.constant(YUV_LUMA, np.int32, "luma"), name="luma")
    start = (1 << (YUV_BITS - 1)) - 16 * YUV_LUMA
    centred = [start - 128 * (a + b) for a, b in zip(YUV_U, YUV_V, strict=True)]
    u = d("Mul", u, d.constant(_per_channel(YUV_U), np.int32, "u"), name="u")
    v = d("Mul", v, d.constant(_per_channel(YUV_V), np.int32, "v"), name="v")
    uv = d("Add", u, v)
    uv = d("Add", uv, d.constant(_per_channel(centred), np.int32, "centre"))
    if planes.columns == 2:
        uv = _repeat_columns(e, uv)
    rgb = _add_to_row_pairs(e, y, uv) if planes.rows == 2 else d("Add", uv, y)
    integers = d.cast(_shifted(e, rgb, YUV_BITS), FLOAT)
    limits = (d.constant(limit, np.float32, str(limit)) for limit in (0, 255))
    return d("Clip", integers, *limits)


def grey_from_rgb(e: Emitter, x: ir.Value, *, reverse: bool) -> ir.Value:
    """Return grey [N, 1, H, W]: rounded, as int32, for integers; float32, unrounded, for floats.

    Args:
        e: the emitter of the image input.
        x: uint8, int32 or float32 [N, 3, H, W].
        reverse: whether the channels are in the order BGR.
    """
    g = to_grey(e)
    parts = _per_channel(GREY[::-1] if reverse else GREY)
    axes = g.constant([1], np.int64, "axes")
    if x.dtype == FLOAT:
        weights = g.constant(parts / (1 << GREY_BITS), np.float32, "parts")
        return g("ReduceSum", g("Mul", x, weights), axes)
    x = g("Mul", g.cast(x, INT32), g.constant(parts, np.int32, "parts"))
    total = g("ReduceSum", x, axes)
    half = g.constant(1 << (GREY_BITS - 1), np.int32, "half")
    return _shifted(e, g("Add", total, half), GREY_BITS)


def height(e: Emitter, image: ir.Value, axis: int, form: str) -> ir.Value:
    """Return the height of the images in `image`, int64 [1]; `axis` is that of its rows."""
    rows = extent(e, image, axis)
    return with_number(e, "Div", with_number(e, "Mul", rows, 2), 3) if form == "nv12" else rows


def channels(e: Emitter, x: ir.Value, *places: int) -> ir.Value:
    """Return some channels of `x`, NCHW.

    A Gather and not a Slice: ONNX Runtime 1.31 moves a Transpose after a Slice, which then reads
    single bytes (40 times slower on the CPU).
    """
    d = decoding(e)
    return d("Gather", x, d.constant(places, np.int64, "channels"), axis=1)


def without_alpha(e: Emitter, x: ir.Value, axis: int) -> ir.Value:
    """Return the first three channels of `x`, whose channels are on `axis`."""
    d = decoding(e)
    bounds = (d.constant([bound], np.int64, "bound") for bound in (0, 3, axis, 1))
    return d("Slice", x, *bounds)


def nv12_planes(e: Emitter, image: ir.Value, read: Window | None) -> Planes:
    """Split nv12: H rows of Y, and below them H / 2 rows of U V U V ..."""
    d = decoding(e)
    batch, _, width, _ = dims(image)
    tall = height(e, image, 1, "nv12")
    if read is None:
        zero, one, end = (d.constant([at], np.int64, "bound") for at in (0, 1, LAST))
        luma = d("Slice", image, zero, tall, one)
        if not isinstance(dims(luma)[1], int):
            luma.shape = ir.Shape([batch, "height", width, 1])
        chroma = _pairs(e, d("Slice", image, tall, end, one), 2)
        return Planes(_planar(e, luma), _planar(e, chroma), 2, 2)
    luma = pick(e, pick(e, image, read.rows, 1), read.columns, 2)
    below = coordinates(e)("Add", with_number(e, "Div", read.rows.places, 2), tall)
    chroma = _pairs(e, d("Gather", image, below, axis=1, name="rows"), 2)
    return Planes(_planar(e, luma), _planar(e, _shared(e, chroma, read)), 1, 1)


def yuyv_planes(e: Emitter, image: ir.Value, read: Window | None) -> Planes:
    """Split yuyv, where two pixels are Y U Y V."""
    if read is None:
        pairs = _planar(e, _pairs(e, image, 4))
        luma = channels(e, _planar(e, image), 0)
        return Planes(luma, channels(e, pairs, 1, 3), 1, 2)
    rows = pick(e, image, read.rows, 1)
    luma = channels(e, _planar(e, pick(e, rows, read.columns, 2)), 0)
    pairs = _planar(e, _shared(e, _pairs(e, rows, 4), read))
    return Planes(luma, channels(e, pairs, 1, 3), 1, 1)


PLANES = {"nv12": nv12_planes, "yuyv": yuyv_planes}
"""How to split the formats whose pixels share chroma."""


def _pairs(e: Emitter, x: ir.Value, numbers: int) -> ir.Value:
    """Join the numbers of two neighbouring pixels, NHWC: [N, H, W / 2, numbers]."""
    d = decoding(e)
    paired = d("Reshape", x, d.constant([0, 0, -1, numbers], np.int64, "pairs"))
    if not isinstance(dims(paired)[2], int):
        paired.shape = ir.Shape([*dims(x)[:2], "pairs", numbers])
    return paired


def _shared(e: Emitter, pairs: ir.Value, read: Window) -> ir.Value:
    """Gather the pair of pixels that each source column belongs to, NHWC."""
    places = with_number(e, "Div", read.columns.places, 2)
    return decoding(e)("Gather", pairs, places, axis=2, name="columns")


def _repeat_columns(e: Emitter, x: ir.Value) -> ir.Value:
    """Repeat every column once, NCHW."""
    d = decoding(e)
    apart = d("Unsqueeze", x, d.constant([4], np.int64, "last"))
    twice = d("Concat", apart, apart, axis=4)
    joined = d("Reshape", twice, d.constant([0, 0, 0, -1], np.int64, "joined"))
    if not isinstance(dims(joined)[3], int):
        joined.shape = ir.Shape([*dims(x)[:3], "width"])
    return joined


def _add_to_row_pairs(e: Emitter, y: ir.Value, uv: ir.Value) -> ir.Value:
    """Return y + uv, NCHW, where two rows of y (one channel) share one row of uv (three)."""
    wide = extent(e, y, 3)
    c, d = coordinates(e), decoding(e)

    def reshaped(x: ir.Value, *leading: int) -> ir.Value:
        shape = c("Concat", c.constant(leading, np.int64, "rows"), wide, axis=0)
        return d("Reshape", x, shape)

    total = d("Add", reshaped(uv, 0, 3, -1, 1), reshaped(y, 0, 1, -1, 2))
    rgb = reshaped(total, 0, 3, -1)
    if not isinstance(dims(rgb)[2], int):
        rgb.shape = ir.Shape([dims(y)[0], 3, *dims(y)[2:]])
    return rgb


def _planar(e: Emitter, x: ir.Value) -> ir.Value:
    return decoding(e)("Transpose", x, perm=[0, 3, 1, 2])


def _shifted(e: Emitter, x: ir.Value, bits: int) -> ir.Value:
    """Return x / 2^bits without the fraction; values below zero are clipped afterwards."""
    d = decoding(e)
    return d("Div", x, d.constant(1 << bits, np.int32, "unit"))


def _per_channel(numbers: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(numbers, np.int64).reshape(1, 3, 1, 1)
