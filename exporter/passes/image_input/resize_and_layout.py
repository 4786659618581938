"""Brings an image as it arrives to the model's size and layout."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.emit import Steps
from kexport.options.image_input import ImageInput
from kexport.passes.image_input import color_formats, resize
from kexport.passes.image_input.resize import Window

Dims = list[int | ir.SymbolicDim]

NHWC, NCHW = "NHWC", "NCHW"


def declare(dims: Dims, pixels: ImageInput) -> ir.Value:
    """The input `image` of a model that reads [N, H, W, C], `dims`.

    Axes that are open, in the model or because of a resize, are called height and width; the rows
    of an nv12 image, which are half as many again as its height, are called rows.
    """
    batch, height, width, _ = dims
    if pixels.resize is not None or not isinstance(height, int):
        height = ir.SymbolicDim("height")
    if pixels.resize is not None or not isinstance(width, int):
        width = ir.SymbolicDim("width")
    if pixels.form == "nv12":
        rows = height * 3 // 2 if isinstance(height, int) else ir.SymbolicDim("rows")
        shape = [rows, width, 1]
    else:
        shape = [height, width]
        shape.insert(0 if _is_planar(pixels) else 2, pixels.channels)
    dtype = ir.DataType.FLOAT if pixels.dtype == "float32" else ir.DataType.UINT8
    return ir.Value(name="image", type=ir.TensorType(dtype), shape=ir.Shape([batch, *shape]))


def arrive(e: Steps, image: ir.Value, dims: Dims, pixels: ImageInput, order: str) -> ir.Value:
    """The image at the model's size, its axes in `order`, such as "NHWC".

    It has one channel where the model has, and else those of the format without alpha, in the
    format's order: RGB for nv12 and yuyv. Bytes are uint8 or int32; what was blended, or made from
    nv12 or yuyv, is float32.
    """
    stored = NCHW if _is_planar(pixels) else NHWC
    grey = dims[3] == 1 and pixels.form != "gray"
    read = _read(e, image, dims, pixels, stored)
    blends = read is not None and read.blends
    if pixels.subsampled:
        planes = color_formats.PLANES[pixels.form](e, image, read)
        x, stored = color_formats.rgb_from_yuv(e, planes), NCHW
    else:
        x = image
        if read is not None:
            x = resize.pick(e, x, read.rows, stored.index("H"))
            x = resize.pick(e, x, read.columns, stored.index("W"))
        planar = NCHW if grey or blends else order
        x, stored = lay_out(e, x, stored, planar), planar
        if pixels.channels == 4:
            x = color_formats.without_alpha(e, x, stored.index("C"))
    if grey:
        if pixels.subsampled:
            x = e.cast("grey/Cast", x, ir.DataType.INT32)
        x = color_formats.grey_from_rgb(e, x, reverse=pixels.form in ("bgr", "bgra"))
    if read is not None and blends:
        x = resize.blend(e, e.cast("resize/Cast", x, ir.DataType.FLOAT), read)
    return lay_out(e, x, stored, order)


def lay_out(e: Steps, x: ir.Value, stored: str, wanted: str) -> ir.Value:
    """`x`, whose axes are in the order `stored`, with its axes as `wanted`."""
    if stored == wanted:
        return x
    return e("Transpose", "Transpose", x, perm=[stored.index(axis) for axis in wanted])


def _is_planar(pixels: ImageInput) -> bool:
    return pixels.layout == "nchw"


def _read(e: Steps, image: ir.Value, dims: Dims, pixels: ImageInput, stored: str) -> Window | None:
    """What a resize reads; None where there is none."""
    _, height, width, _ = dims
    if pixels.resize is None or not isinstance(height, int) or not isinstance(width, int):
        return None
    tall = color_formats.height(e, image, stored.index("H"), pixels.form)
    wide = e.extent(image, stored.index("W"))
    top = left = None
    if pixels.crop is not None:
        whole = tall, wide
        tall, wide = (
            _window(e, tall, wide, height, width),
            _window(e, wide, tall, width, height),
        )
        top, left = (
            e.whole("Div", e("positions/Sub", "Sub", *pair), 2)
            for pair in zip(whole, (tall, wide), strict=True)
        )
    return Window(
        resize.axis(e, "rows", top, tall, height, pixels.resize),
        resize.axis(e, "columns", left, wide, width, pixels.resize),
    )


def _window(e: Steps, extent: ir.Value, other: ir.Value, target: int, across: int) -> ir.Value:
    """min(extent, other * target // across), as keras.utils.load_img has it, and at least 1."""
    scaled = e.whole("Div", e.whole("Mul", other, target), across)
    return e("positions/Min", "Min", extent, e.whole("Max", scaled, 1))
