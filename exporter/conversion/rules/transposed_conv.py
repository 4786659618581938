"""Transposed convolutions of rank 1 to 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport.conversion.graph import Graph
from kexport.conversion.rules.activation import activate
from kexport.conversion.rules.conv import channel_axis
from kexport.conversion.tensor import Tensor, channels_second

Array = np.ndarray[Any, Any]


def transposed_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""
    order = channels_second(x.rank, channel_axis(layer))
    margins = [
        _margins(layer.padding, *axis)
        for axis in zip(
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            layer.output_padding or [None] * (x.rank - 2),
            strict=True,
        )
    ]
    y = g.op(
        "ConvTranspose",
        g.stored(x, order),
        g.weight(layer.kernel, "kernel", _inputs_first, form="IO*"),
        *([g.weight(layer.bias, "bias")] if layer.use_bias else []),
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=[begin for begin, _ in margins] + [max(end, 0) for _, end in margins],
        output_padding=[max(-end, 0) for _, end in margins],
    )
    return activate(g, layer.activation, Tensor(y, order))


def _margins(
    padding: str, window: int, stride: int, dilation: int, extra: int | None
) -> tuple[int, int]:
    """Elements cut off before and after one axis; a negative end adds zeros there.

    The full result has (in - 1) * stride + span elements, span = (window - 1) * dilation + 1. Of
    these Keras keeps (keras.layers.Conv2DTranspose, "Output shape"), less (in - 1) * stride:
    max(span, stride) for `valid` and stride for `same`, or with an `output_padding` span +
    output_padding and span % 2 + output_padding. TensorFlow computes the gradient of a
    convolution, so what goes is split as that convolution would pad: evenly, an odd element last,
    and with `valid` all of it at the end.
    """
    span = (window - 1) * dilation + 1
    if padding == "valid":
        kept = max(span, stride) if extra is None else span + extra
        return 0, span - kept
    kept = stride if extra is None else span % 2 + extra
    begin = max(span - kept, 0) // 2
    return begin, span - kept - begin


def _inputs_first(kernel: Array) -> Array:
    """(*window, out, in) to (in, out, *window)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))
