"""Rules for resizing, cropping and upsampling images with TensorFlow's arithmetic.

Nearest is a Gather along each axis with TensorFlow's own indices. Plain bilinear is a Resize,
which computes the same. The others (cubic, Lanczos, area, antialiasing) match no ONNX operator
exactly, but they are linear and separable: a matrix along each axis, which Keras itself computes by
resizing the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.rules.convolution import channel_axis
from kexport.conversion.tensor import Tensor, channels_second, shape_of
from kexport.conversion.unsupported import NoRule, refuse


def resizing(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Resizing, with or without its aspect ratio kept."""
    size = (layer.height, layer.width)
    if layer.interpolation == "nearest":
        return _resizing(g, layer, x, size)
    return _in_floats(g, x, lambda y, whole: _resizing(g, layer, y, size, rounded=whole))


def resize(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.image.resize."""
    if x.value.dtype is None or not x.value.dtype.is_floating_point():
        raise NoRule("pixels in whole numbers")
    return _resizing(g, operation, x, operation.size)


def _in_floats(g: Graph, x: Tensor, change: Callable[[Tensor, bool], Tensor]) -> Tensor:
    """Resize whole numbers as floats, and round to even as Keras does; floats as they are.

    A pixel that lies half way between two whole numbers, within the precision of float32, may be
    rounded to the other one.

    Args:
        g: the graph.
        x: the image.
        change: resizes floats; the second argument tells whether its result is rounded.
    """
    dtype = x.value.dtype
    if dtype is None or dtype.is_floating_point():
        return change(x, False)
    y = change(Tensor(g.op("Cast", x.value, to=int(ir.DataType.FLOAT)), x.order), True)
    limits = np.iinfo(dtype.numpy())
    low, high = (g.floats(float(limit), "limit", y.value) for limit in (limits.min, limits.max))
    rounded = g.op("Clip", g.op("Round", y.value), low, high)
    return Tensor(g.op("Cast", rounded, to=int(dtype)), y.order)


def center_crop(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert CenterCrop; an image that is too small is cropped to the ratio and enlarged."""
    if x.value.dtype is None or not x.value.dtype.is_floating_point():
        raise NoRule("pixels in whole numbers")
    x = _channels_second(g, layer, x)
    extents, targets = _extents(x), (layer.height, layer.width)
    if extents is None:
        raise NoRule("open extents")
    spare = [extent - target for extent, target in zip(extents, targets, strict=True)]
    if min(spare) >= 0:
        return _cut(g, x, extents, [extra // 2 for extra in spare], targets)
    return resized(g, layer, _cropped(g, x, extents, targets), targets, "bilinear")


def resized(
    g: Graph,
    layer: Any,
    x: Tensor,
    targets: Sequence[int],
    interpolation: str,
    *,
    antialias: bool = False,
    rounded: bool = False,
) -> Tensor:
    """Resize an image stored as NCHW with the arithmetic of `tf.image.resize`.

    Where the result is `rounded`, a matrix serves bilinear interpolation too: a Resize has a scale,
    whose rounding moves pixels that lie half way between two whole numbers.

    Raises:
        UnsupportedModel: the extents are open, and the interpolation needs them.
    """
    extents, value = _extents(x), x.value
    if interpolation == "nearest":
        for i in (0, 1):
            extent = extents[i] if extents else None
            if extent != targets[i]:
                indices = _nearest(g, value, 2 + i, extent, targets[i])
                value = g.op("Gather", value, indices, axis=2 + i)
    elif extents == list(targets):
        return x
    elif interpolation == "bilinear" and not antialias and not (rounded and extents):
        value = _interpolate(g, value, extents, targets)
    elif extents is None:
        _refuse_open(layer, "antialias" if antialias else "interpolation")
    else:
        rows, columns = (
            _matrix(extent, target, interpolation, antialias)
            for extent, target in zip(extents, targets, strict=True)
        )
        value = g.op("MatMul", g.constant(rows, "rows"), value)
        value = g.op("MatMul", value, g.constant(columns.T, "columns"))
    return Tensor(value, x.order)


def _resizing(
    g: Graph, layer: Any, x: Tensor, targets: Sequence[int], *, rounded: bool = False
) -> Tensor:
    x = _channels_second(g, layer, x)
    extents = _extents(x)
    for argument in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(layer, argument) and extents is None:
            _refuse_open(layer, argument)
    if extents is not None and layer.crop_to_aspect_ratio:
        x = _cropped(g, x, extents, targets)
    elif extents is not None and layer.pad_to_aspect_ratio:
        x = _padded(g, x, extents, targets, float(layer.fill_value))
    return resized(
        g, layer, x, targets, layer.interpolation, antialias=layer.antialias, rounded=rounded
    )


def _refuse_open(layer: Any, argument: str) -> NoReturn:
    value = getattr(layer, argument)
    refuse(layer, argument, value, "an Input whose height and width are given")


def _channels_second(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Return `x` stored as NCHW; a single image without a batch has no rule."""
    if x.rank != 4:
        raise NoRule("an image without a batch")
    order = channels_second(x.rank, channel_axis(layer))
    return Tensor(g.stored(x, order), order)


def _extents(x: Tensor) -> list[int] | None:
    """Return height and width; None where one of them is open."""
    extents = [extent for extent in shape_of(x.value)[2:] if extent is not None]
    return extents if len(extents) == 2 else None


def _cropped(g: Graph, x: Tensor, extents: Sequence[int], targets: Sequence[int]) -> Tensor:
    """Cut out the largest centered window of `x` with the aspect ratio of `targets`."""
    window = [
        max(min(extents[i], _scaled(extents[1 - i], targets[i], targets[1 - i])), 1) for i in (0, 1)
    ]
    return _cut(g, x, extents, [(extents[i] - window[i]) // 2 for i in (0, 1)], window)


def _padded(
    g: Graph, x: Tensor, extents: Sequence[int], targets: Sequence[int], fill: float
) -> Tensor:
    """Pad `x` on either side with `fill` to the aspect ratio of `targets`."""
    wanted = [max(extents[i], _scaled(extents[1 - i], targets[i], targets[1 - i])) for i in (0, 1)]
    margins = [0, 0, *((wanted[i] - extents[i]) // 2 for i in (0, 1))]
    if not any(margins):
        return x
    pads = g.integers(margins * 2, "pads")
    return Tensor(g.op("Pad", x.value, pads, g.floats(fill, "fill_value", x.value)), x.order)


def _scaled(extent: int, target: int, other: int) -> int:
    """Return extent * target / other, truncated in float32 as in Keras."""
    return int(np.float32(extent * target) / np.float32(other))


def _cut(
    g: Graph, x: Tensor, extents: Sequence[int], starts: Sequence[int], sizes: Sequence[int]
) -> Tensor:
    """Cut out a window of `sizes` that begins at `starts`."""
    axes = [i for i in (0, 1) if extents[i] != sizes[i]]
    if not axes:
        return x
    y = g.op(
        "Slice",
        x.value,
        g.integers([starts[i] for i in axes], "starts"),
        g.integers([starts[i] + sizes[i] for i in axes], "ends"),
        g.integers([2 + i for i in axes], "axes"),
    )
    return Tensor(y, x.order)


def _interpolate(
    g: Graph, x: ir.Value, extents: Sequence[int] | None, targets: Sequence[int]
) -> ir.Value:
    """Interpolate bilinearly between half-pixel centers.

    Known extents are resized by scales, because sizes would fix the batch too. Each scale is the
    smallest float32 for which floor(extent * scale) is the target, in float32, which ONNX Runtime
    computes with, and exactly, as ONNX's shape inference does.
    """
    how: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if extents is None:
        kept = g.part_of_shape(x, 0, 2)
        sizes = g.op("Concat", kept, g.integers(targets, "targets"), axis=0)
        y = g.op("Resize", x, None, None, sizes, **how)
        y.shape = ir.Shape([*(x.shape or [])[:2], *targets])
        return y
    scales = []
    for extent, target in zip(extents, targets, strict=True):
        scale = np.float32(target / extent)
        while min(float(np.float32(extent) * scale), extent * float(scale)) < target:
            scale = np.nextafter(scale, np.float32(np.inf))
        scales.append(scale)
    return g.op(
        "Resize", x, None, g.constant(np.array([1, 1, *scales], np.float32), "scales"), **how
    )


def _nearest(g: Graph, x: ir.Value, axis: int, extent: int | None, target: int) -> ir.Value:
    """Return the indices that TensorFlow takes: floor((i + 1/2) * extent / target) in float32."""
    centres = np.arange(target, dtype=np.float32) + np.float32(0.5)
    if extent is not None:
        places = np.floor(centres * (np.float32(extent) / np.float32(target)))
        return g.integers(np.minimum(places, extent - 1).astype(np.int64).tolist(), "indices")
    found = g.op("Cast", g.part_of_shape(x, axis, axis + 1), to=int(ir.DataType.FLOAT))
    scale = g.op("Div", found, g.floats(float(target), "target", found))
    places = g.op("Floor", g.op("Mul", g.constant(centres, "centres"), scale))
    last = g.op("Sub", found, g.floats(1.0, "one", found))
    return g.op("Cast", g.op("Min", places, last), to=int(ir.DataType.INT64))


def _matrix(extent: int, target: int, interpolation: str, antialias: bool) -> Array:
    """Return the matrix (target, extent) that resizes one axis: the identity, resized by Keras."""
    channels = np.eye(extent, dtype=np.float32).reshape(1, extent, 1, extent)
    made = keras.ops.image.resize(
        channels,
        (target, 1),
        interpolation=interpolation,
        antialias=antialias,
        data_format="channels_last",
    )
    return np.asarray(made).reshape(target, extent)


RESIZED = frozenset({ir.DataType.FLOAT, ir.DataType.INT32, ir.DataType.UINT8, ir.DataType.INT8})
"""Types that the Resize of ONNX Runtime takes (docs/OperatorKernels.md of its sources)."""

NARROW = frozenset({ir.DataType.BOOL, ir.DataType.INT16, ir.DataType.UINT16})
"""Types that it does not take, and that int32 holds."""


def up_sampling_1d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert UpSampling1D: repeat every step `size` times."""
    return repeated(g, x, [int(layer.size)], -1)


def up_sampling_2d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert UpSampling2D; other interpolations than nearest and bilinear need known extents."""
    if layer.interpolation == "nearest":
        return repeated(g, x, layer.size, channel_axis(layer))
    return _in_floats(g, x, lambda y, whole: _up_sampling_2d(g, layer, y, rounded=whole))


def _up_sampling_2d(g: Graph, layer: Any, x: Tensor, *, rounded: bool) -> Tensor:
    order = channels_second(x.rank, channel_axis(layer))
    value = g.stored(x, order)
    if layer.interpolation == "bilinear":
        return Tensor(_enlarged(g, value, layer.size, "linear", "half_pixel"), order)
    extents = shape_of(value)[2:]
    if None in extents:
        refuse(layer, "interpolation", layer.interpolation, "an Input of given height and width")
    targets = [(extent or 0) * size for extent, size in zip(extents, layer.size, strict=True)]
    how = layer.interpolation
    return resized(g, layer, Tensor(value, order), targets, how, rounded=rounded)


def up_sampling_3d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert UpSampling3D: repeat every voxel `size` times along each axis."""
    return repeated(g, x, layer.size, channel_axis(layer))


def repeated(g: Graph, x: Tensor, sizes: Sequence[int], channels: int) -> Tensor:
    """Repeat every element `sizes[i]` times along spatial axis i, as numpy.repeat."""
    order = channels_second(x.rank, channels)
    value, dtype = g.stored(x, order), x.value.dtype
    if dtype in NARROW:
        value = g.op("Cast", value, to=ir.DataType.INT32.value)
    elif dtype not in RESIZED:
        raise NoRule("a type that no Resize takes")
    y = _enlarged(g, value, sizes, "nearest", "asymmetric", nearest_mode="floor")
    return Tensor(g.op("Cast", y, to=dtype.value) if dtype in NARROW else y, order)


def _enlarged(
    g: Graph, x: ir.Value, sizes: Sequence[int], mode: str, coordinates: str, **attributes: Any
) -> ir.Value:
    """Emit a Resize of the axes after batch and channels."""
    scales = g.constant(np.array([1, 1, *sizes], np.float32), "scales")
    attributes["coordinate_transformation_mode"] = coordinates
    return g.op("Resize", x, None, scales, mode=mode, **attributes)
