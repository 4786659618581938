"""Biases of quantized Conv and Gemm nodes as int32."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import numbers, small
from kexport.graph.passes import Pass

LARGEST = 2**31 - 1
"""The largest int32."""


@Pass
def quantize_bias(model: ir.Model) -> None:
    """Quantize the bias of a Conv or Gemm whose input and weights are quantized.

    Conv(x, W, b) ==> Conv(x, W, DequantizeLinear(B, s)) with s = scale of x * scale of W and
    B = int32(round(b / s))

    Applies where B does not overflow. Integer kernels add B to their sums (onnx/docs/Operators.md,
    QLinearConv, `B`). Not exact: b is rounded to a multiple of s.
    """
    for node in list(model.graph):
        if node.op_type not in ("Conv", "Gemm") or len(node.inputs) < 3:
            continue
        bias, scales = small(node.inputs[2]), [_scale(value) for value in node.inputs[:2]]
        if bias is None or scales[0] is None or scales[1] is None or bias.ndim != 1:
            continue
        step = (scales[0] * scales[1]).astype(np.float32) * np.ones(bias.shape, np.float32)
        integers = np.rint(bias.astype(np.float64) / step)
        if np.abs(integers).max(initial=0) > LARGEST:
            continue
        name = f"{node.name}.bias"
        inputs = [
            numbers(model.graph, f"{name}.quantized", integers.astype(np.int32)),
            numbers(model.graph, f"{name}.scale", step),
        ]
        read = ir.node("DequantizeLinear", inputs, {"axis": 0}, name=f"{name}.dequantized")
        result = read.outputs[0]
        result.name, result.shape = read.name, ir.Shape(bias.shape)
        result.type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.insert_before(node, read)
        node.replace_input_with(2, result)


def _scale(value: ir.Value | None) -> Array | None:
    """Return the scale with which a DequantizeLinear produces `value`."""
    node = None if value is None else value.producer()
    is_read = node is not None and node.op_type == "DequantizeLinear"
    return small(node.inputs[1]) if node is not None and is_read else None
