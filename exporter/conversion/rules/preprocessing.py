"""Rules for layers that scale pixel values to the range that a model was trained on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.broadcast import array
from kexport.conversion.tensor import Tensor


def rescaling(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Rescaling: x * scale + offset; a list has one number for each channel."""
    x = _floats(g, x)
    y = x.value
    scale, offset = (_per_channel(value) for value in (layer.scale, layer.offset))
    if np.any(scale != 1):
        y = g.op("Mul", y, array(g, scale, "scale", x))
    if np.any(offset != 0):
        y = g.op("Add", y, array(g, offset, "offset", x))
    return Tensor(y, x.order)


def normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Normalization: (x - mean) / max(sqrt(variance), 1e-7), or its inverse."""
    x = _floats(g, x)
    mean = np.asarray(layer.mean, np.float32)
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance, np.float32)), np.float32(1e-7))
    shift, spread = array(g, mean, "mean", x), array(g, deviation, "deviation", x)
    if layer.invert:
        return Tensor(g.op("Add", g.op("Mul", x.value, spread), shift), x.order)
    return Tensor(g.op("Div", g.op("Sub", x.value, shift), spread), x.order)


def _floats(g: Graph, x: Tensor) -> Tensor:
    """Return integers as float32, in which both layers compute."""
    dtype = x.value.dtype
    if dtype is None or dtype.is_floating_point():
        return x
    return Tensor(g.op("Cast", x.value, to=ir.DataType.FLOAT.value), x.order)


def _per_channel(value: Any) -> np.ndarray[Any, Any]:
    """Lay out a scale as Keras does: with channels first it gets axes after the channels."""
    numbers = np.asarray(value, np.float32)
    if numbers.ndim and keras.config.image_data_format() == "channels_first":
        return numbers.reshape(numbers.shape + (1,) * (3 - numbers.ndim))
    return numbers
