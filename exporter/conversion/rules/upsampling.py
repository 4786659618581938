"""UpSampling layers: a whole number of times larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.conversion.graph import Graph
from kexport.conversion.rules.conv import channel_axis
from kexport.conversion.rules.resize import resized
from kexport.conversion.tensor import Tensor, channels_second, shape_of
from kexport.conversion.unsupported import NoRule, refuse


def up_sampling_1d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """UpSampling1D: every step `size` times."""
    return repeated(g, x, [int(layer.size)], -1)


def up_sampling_2d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """UpSampling2D; with any `interpolation` but nearest and bilinear the extents must be known."""
    if layer.interpolation == "nearest":
        return repeated(g, x, layer.size, channel_axis(layer))
    if x.value.dtype is None or not x.value.dtype.is_floating_point():
        raise NoRule("pixels in whole numbers")
    order = channels_second(x.rank, channel_axis(layer))
    value = g.stored(x, order)
    if layer.interpolation == "bilinear":
        return Tensor(_enlarged(g, value, layer.size, "linear", "half_pixel"), order)
    extents = shape_of(value)[2:]
    if None in extents:
        refuse(layer, "interpolation", layer.interpolation, "an Input of given height and width")
    targets = [(extent or 0) * size for extent, size in zip(extents, layer.size, strict=True)]
    return resized(g, layer, Tensor(value, order), targets, layer.interpolation)


def up_sampling_3d(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """UpSampling3D: every voxel `size` times along each axis."""
    return repeated(g, x, layer.size, channel_axis(layer))


def repeated(g: Graph, x: Tensor, sizes: Sequence[int], channels: int) -> Tensor:
    """Every element `sizes[i]` times along spatial axis i, as numpy.repeat."""
    order = channels_second(x.rank, channels)
    y = _enlarged(g, g.stored(x, order), sizes, "nearest", "asymmetric", nearest_mode="floor")
    return Tensor(y, order)


def _enlarged(
    g: Graph, x: ir.Value, sizes: Sequence[int], mode: str, coordinates: str, **attributes: Any
) -> ir.Value:
    """A Resize of the axes behind batch and channels."""
    scales = g.constant(np.array([1, 1, *sizes], np.float32), "scales")
    attributes["coordinate_transformation_mode"] = coordinates
    return g.op("Resize", x, None, scales, mode=mode, **attributes)
