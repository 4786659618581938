"""Write an AveragePool that reads no border as a depthwise Conv."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import attribute, like, numbers, remove, take_over
from kexport.graph.passes import Pass


@Pass
def average_pool_to_depthwise_conv(model: ir.Model) -> None:
    """AveragePool of [N, C, H, W] to a Conv of C groups that keeps the node's name.

    ONNX Runtime's pool of integers computes a number at a time, its convolutions many
    (onnxruntime/contrib_ops/cpu/quantization/qlinear_pool.cc).
    """
    for node in list(model.graph):
        channels = _channels(node) if node.op_type == "AveragePool" else None
        if channels is None or _reads_border(node):
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
        old, conv = node.outputs[0], ir.node("Conv", [node.inputs[0], weights], how, name=node.name)
        result = conv.outputs[0]
        result.name = f"{node.name}.mean"
        like(result, old)
        model.graph.insert_before(node, conv)
        take_over(old, result)
        remove(model.graph, node)


def _channels(node: ir.Node) -> int | None:
    shape = None if node.inputs[0] is None else node.inputs[0].shape
    if shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        return None
    return shape[1]


def _reads_border(node: ir.Node) -> bool:
    padded = any(attribute(node, "pads", [0])) or attribute(node, "ceil_mode", 0)
    return bool(padded) or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
