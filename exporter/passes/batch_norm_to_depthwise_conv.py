"""Write a BatchNormalization that nothing could absorb as a depthwise Conv of one pixel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.affine import affine_of
from kexport.graph.edit import like, numbers, remove, take_over
from kexport.graph.passes import Pass


@Pass
def batch_norm_to_depthwise_conv(model: ir.Model) -> None:
    """BatchNormalization of [N, C, H, W] to a Conv of C groups, 1 x 1, that keeps the node's name.

    Engines have a Conv of integers with a scale for each channel, and no BatchNormalization.
    """
    for node in list(model.graph):
        step = affine_of(node, 1) if node.op_type == "BatchNormalization" else None
        if step is None or len(step.x.shape or ()) != 4:
            continue
        weights = step.scale.astype(np.float32).reshape(-1, 1, 1, 1)
        inputs = [
            step.x,
            numbers(model.graph, f"{node.name}.weight", weights),
            numbers(model.graph, f"{node.name}.bias", step.shift.astype(np.float32)),
        ]
        name = node.name
        conv = ir.node("Conv", inputs, {"group": step.channels, "kernel_shape": [1, 1]}, name=name)
        result, old = conv.outputs[0], node.outputs[0]
        result.name = f"{name}.scaled"
        like(result, old)
        model.graph.insert_before(node, conv)
        take_over(old, result)
        remove(model.graph, node)
