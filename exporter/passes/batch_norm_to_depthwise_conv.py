"""BatchNormalization that no Conv could absorb as a depthwise 1 x 1 Conv."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.affine import affine_of
from kexport.graph.edit import numbers, replace_node
from kexport.graph.passes import Pass


@Pass
def batch_norm_to_depthwise_conv(model: ir.Model) -> None:
    """Rewrite a BatchNormalization as a depthwise 1 x 1 Conv of the same name.

    BatchNormalization(x) ==> Conv(x, W, b) with W[c, 0, 0, 0] = scale[c] / sqrt(var[c] + epsilon)
    and b[c] = shift[c] - mean[c] * W[c, 0, 0, 0]

    Applies to [N, C, H, W]. Engines have an integer Conv with a scale for each channel, and no
    integer BatchNormalization. Exact up to rounding; W and b are computed in float64.
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
        how: dict[str, int | list[int]] = {"group": step.channels, "kernel_shape": [1, 1]}
        conv = ir.node("Conv", inputs, how, name=node.name)
        replace_node(model.graph, node, conv, f"{node.name}.scaled")
