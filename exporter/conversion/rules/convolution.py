"""Rules for convolutions of rank 1 to 3: grouped, dilated, depthwise, separable, transposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.padding import windowed
from kexport.conversion.rules.activation import activate
from kexport.conversion.rules.kernel import kernel, outputs_first
from kexport.conversion.tensor import Tensor, channels_second


def channel_axis(layer: Any) -> int:
    """Return the Keras axis of the channels."""
    return 1 if layer.data_format == "channels_first" else -1


def conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Conv1D, Conv2D, Conv3D."""
    order = channels_second(x.rank, channel_axis(layer))
    weights = kernel(g, layer, outputs_first, form="OI*")
    y = _convolve(g, layer, g.stored(x, order), weights, group=layer.groups)
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def depthwise_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert DepthwiseConv1D, DepthwiseConv2D: `depth_multiplier` outputs a channel."""
    order = channels_second(x.rank, channel_axis(layer))
    weights = g.weight(layer.kernel, "kernel", _depthwise_outputs_first, form="depthwise")
    y = _convolve(g, layer, g.stored(x, order), weights, group=_channels(layer, x))
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def separable_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert SeparableConv1D, SeparableConv2D: depthwise, then 1x1 with the bias."""
    order = channels_second(x.rank, channel_axis(layer))
    depthwise = g.weight(
        layer.depthwise_kernel, "depthwise_kernel", _depthwise_outputs_first, form="depthwise"
    )
    pointwise = g.weight(layer.pointwise_kernel, "pointwise_kernel", outputs_first, form="OI*")
    y = _convolve(g, layer, g.stored(x, order), depthwise, group=_channels(layer, x))
    y = g.op("Conv", y, pointwise, kernel_shape=[1] * (x.rank - 2))
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def _convolve(g: Graph, layer: Any, x: ir.Value, kernel: ir.Value, *, group: int) -> ir.Value:
    x, padding = windowed(
        g, x, layer.padding, layer.kernel_size, layer.strides, layer.dilation_rate
    )
    return g.op(
        "Conv",
        x,
        kernel,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=group,
        **padding,
    )


def _add_bias(g: Graph, layer: Any, y: ir.Value) -> ir.Value:
    """Give the convolution that made `y` the layer's bias as its third input."""
    node = y.producer()
    if layer.use_bias and node is not None:
        node.resize_inputs(3)
        node.replace_input_with(2, g.weight(layer.bias, "bias"))
    return y


def _channels(layer: Any, x: Tensor) -> int:
    channels = x.shape[channel_axis(layer)]
    if channels is None:
        raise ValueError(f"the channels of {x.value.name} are not known")
    return channels


def _depthwise_outputs_first(kernel: Array) -> Array:
    """Reshape (*window, in, multiplier) to (in * multiplier, 1, *window)."""
    *window, inputs, multiplier = kernel.shape
    return np.moveaxis(kernel.reshape(*window, inputs * multiplier), -1, 0)[:, None]


def transposed_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""
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
        kernel(g, layer, _inputs_first, form="IO*"),
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
    """Return how many elements are cut off before and after one axis; negative ones are added.

    The full result has (in - 1) * stride + span elements, span = (window - 1) * dilation + 1. Keras
    keeps (in - 1) * stride + kept of them (keras.layers.Conv2DTranspose, "Output shape"), where
    `kept` is

        padding   without output_padding   with output_padding
        valid     max(span, stride)        span + output_padding
        same      stride                   span % 2 + output_padding

    TensorFlow computes the gradient of a convolution, so the cut elements are split as that
    convolution would pad: evenly with an odd element last, and with `valid` all at the end.
    """
    span = (window - 1) * dilation + 1
    if padding == "valid":
        kept = max(span, stride) if extra is None else span + extra
        return 0, span - kept
    kept = stride if extra is None else span % 2 + extra
    begin = max(span - kept, 0) // 2
    return begin, span - kept - begin


def _inputs_first(kernel: Array) -> Array:
    """Transpose (*window, out, in) to (in, out, *window)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))
