"""Path of an image from its stored format to the size and layout of the model."""

from __future__ import annotations

import onnx_ir as ir

from kexport.graph.emit import Emitter
from kexport.options.image_input import ImageInput
from kexport.options.input_image import IMAGE
from kexport.passes.image_input import color_formats, resize
from kexport.passes.image_input.resize import Window

Dims = list[int | ir.SymbolicDim]

NHWC, NCHW = "NHWC", "NCHW"


def declare(dims: Dims, pixels: ImageInput, name: str) -> ir.Value:
    """Return the input `name` of a model that reads [N, H, W, C], `dims`.

    Axes that are open because of a resize are called height and width, after the name where it is
    one of several inputs. The rows of an nv12 image, 3/2 of its height, are called rows.
    """
    batch, height, width, _ = dims
    own = "" if name == IMAGE else f"{name}_"
    if pixels.resize is not None:
        height, width = ir.SymbolicDim(f"{own}height"), ir.SymbolicDim(f"{own}width")
    if pixels.form == "nv12":
        rows = height * 3 // 2 if isinstance(height, int) else ir.SymbolicDim(f"{own}rows")
        shape = [rows, width, 1]
    else:
        shape = [height, width]
        shape.insert(0 if _is_planar(pixels) else 2, pixels.channels)
    dtype = ir.DataType.FLOAT if pixels.dtype == "float32" else ir.DataType.UINT8
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape([batch, *shape]))


def arrive(e: Emitter, image: ir.Value, dims: Dims, pixels: ImageInput, order: str) -> ir.Value:
    """Emit the steps to the model's size, with the axes in `order`, such as "NHWC".

    The result has one channel if the model has one, and otherwise those of the format without
    alpha, in the format's order: RGB for nv12 and yuyv. It is float32 after a bilinear or bicubic
    resize and for nv12 and yuyv, and otherwise uint8 or int32.
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
            x = color_formats.to_grey(e).cast(x, ir.DataType.INT32)
        x = color_formats.grey_from_rgb(e, x, reverse=pixels.form in ("bgr", "bgra"))
    if read is not None and blends:
        x = resize.blend(e, resize.resizing(e).cast(x, ir.DataType.FLOAT), read)
    return lay_out(e, x, stored, order)


def lay_out(e: Emitter, x: ir.Value, stored: str, wanted: str) -> ir.Value:
    """Return `x`, whose axes are in the order `stored`, with its axes in the order `wanted`."""
    if stored == wanted:
        return x
    return e("Transpose", x, perm=[stored.index(axis) for axis in wanted])


def _is_planar(pixels: ImageInput) -> bool:
    return pixels.layout == "nchw"


def _read(
    e: Emitter, image: ir.Value, dims: Dims, pixels: ImageInput, stored: str
) -> Window | None:
    """Compute the source pixels of a resize; None if there is no resize."""
    _, height, width, _ = dims
    if pixels.resize is None or not isinstance(height, int) or not isinstance(width, int):
        return None
    tall = color_formats.height(e, image, stored.index("H"), pixels.form)
    wide = resize.extent(e, image, stored.index("W"))
    top = left = None
    if pixels.crop is not None:
        whole = tall, wide
        tall, wide = (
            _window(e, tall, wide, height, width),
            _window(e, wide, tall, width, height),
        )
        top, left = (
            resize.with_number(e, "Div", resize.coordinates(e)("Sub", *pair), 2)
            for pair in zip(whole, (tall, wide), strict=True)
        )
    return Window(
        resize.axis(e, "rows", top, tall, height, pixels.resize),
        resize.axis(e, "columns", left, wide, width, pixels.resize),
    )


def _window(e: Emitter, extent: ir.Value, other: ir.Value, target: int, across: int) -> ir.Value:
    """Compute min(extent, other * target // across), at least 1, as keras.utils.load_img does."""
    scaled = resize.with_number(e, "Div", resize.with_number(e, "Mul", other, target), across)
    return resize.coordinates(e)("Min", extent, resize.with_number(e, "Max", scaled, 1))
