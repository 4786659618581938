"""Convolutions: plain, grouped, dilated, depthwise and separable, of rank 1 to 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.conversion.graph import Graph
from kexport.conversion.rules.activation import activate
from kexport.conversion.tensor import Tensor, channels_second
from kexport.conversion.window import padding_of

Array = np.ndarray[Any, Any]


def channel_axis(layer: Any) -> int:
    """The Keras axis of the channels."""
    return 1 if layer.data_format == "channels_first" else -1


def conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Conv1D, Conv2D, Conv3D."""
    order = channels_second(x.rank, channel_axis(layer))
    kernel = g.weight(layer.kernel, "kernel", _outputs_first, form="OI*")
    y = _convolve(g, layer, g.stored(x, order), kernel, group=layer.groups)
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def depthwise_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """DepthwiseConv1D, DepthwiseConv2D: every input channel has `depth_multiplier` outputs."""
    order = channels_second(x.rank, channel_axis(layer))
    kernel = g.weight(layer.kernel, "kernel", _depthwise_outputs_first, form="depthwise")
    y = _convolve(g, layer, g.stored(x, order), kernel, group=_channels(layer, x))
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def separable_conv(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """SeparableConv1D, SeparableConv2D: a depthwise, then a 1x1 convolution with the bias."""
    order = channels_second(x.rank, channel_axis(layer))
    depthwise = g.weight(
        layer.depthwise_kernel, "depthwise_kernel", _depthwise_outputs_first, form="depthwise"
    )
    pointwise = g.weight(layer.pointwise_kernel, "pointwise_kernel", _outputs_first, form="OI*")
    y = _convolve(g, layer, g.stored(x, order), depthwise, group=_channels(layer, x))
    y = g.op("Conv", y, pointwise, kernel_shape=[1] * (x.rank - 2))
    return activate(g, layer.activation, Tensor(_add_bias(g, layer, y), order))


def _convolve(g: Graph, layer: Any, x: ir.Value, kernel: ir.Value, *, group: int) -> ir.Value:
    return g.op(
        "Conv",
        x,
        kernel,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=group,
        **padding_of(x, layer.padding, layer.kernel_size, layer.strides, layer.dilation_rate),
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


def _outputs_first(kernel: Array) -> Array:
    """(*window, in, out) to (out, in, *window)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _depthwise_outputs_first(kernel: Array) -> Array:
    """(*window, in, multiplier) to (in * multiplier, 1, *window)."""
    *window, inputs, multiplier = kernel.shape
    return np.moveaxis(kernel.reshape(*window, inputs * multiplier), -1, 0)[:, None]
