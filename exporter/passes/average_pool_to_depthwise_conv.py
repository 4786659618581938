"""AveragePool without padding as a depthwise Conv."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import attribute, numbers, replace_node
from kexport.graph.passes import Pass
from kexport.graph.roles import role_of


@Pass
def average_pool_to_depthwise_conv(model: ir.Model) -> None:
    """Rewrite an AveragePool without padding as a depthwise Conv of the same name.

    AveragePool(x) ==> Conv(x, W) with W[c, 0, :, :] = 1 / (kernel height * kernel width)

    Applies to [N, C, H, W] with a known C, without pads and without ceil_mode, and not to the pool
    that sums the pixels of a resize: the range of its input depends on the size of the image, so
    that it must not become integers. ONNX Runtime's QLinearAveragePool computes one number at a
    time, its QLinearConv many (onnxruntime/contrib_ops/cpu/quantization/qlinear_pool.cc). Exact up
    to rounding.
    """
    for node in list(model.graph):
        channels = _channels(node) if node.op_type == "AveragePool" else None
        if channels is None or _is_padded(node) or role_of(node) is not None:
            continue
        window = list(attribute(node, "kernel_shape", []))
        each = np.full((channels, 1, *window), 1 / math.prod(window), np.float32)
        weights = numbers(model.graph, f"{node.name}.weight", each)
        ones = [1] * len(window)
        how: dict[str, int | list[int]] = {
            "group": channels,
            "kernel_shape": window,
            "strides": list(attribute(node, "strides", ones)),
            "dilations": list(attribute(node, "dilations", ones)),
        }
        conv = ir.node("Conv", [node.inputs[0], weights], how, name=node.name)
        replace_node(model.graph, node, conv, f"{node.name}.mean")


def _channels(node: ir.Node) -> int | None:
    shape = None if node.inputs[0] is None else node.inputs[0].shape
    if shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        return None
    return shape[1]


def _is_padded(node: ir.Node) -> bool:
    padded = any(attribute(node, "pads", [0])) or attribute(node, "ceil_mode", 0)
    return bool(padded) or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
