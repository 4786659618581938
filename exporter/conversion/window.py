"""Padding of sliding windows, exactly as TensorFlow pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.tensor import shape_of


def padding_of(
    x: ir.Value,
    padding: str,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> dict[str, Any]:
    """The ONNX attributes for a Keras `padding` of "valid", "same" or "causal".

    `same` follows TensorFlow: the output has ceil(in / stride) elements, the padding is split
    evenly and an odd element goes to the end (tensorflow.org/api_docs/python/tf/nn, "Notes on
    padding"). With a stride over 1 it depends on the extent of the input; where only run time knows
    that, ONNX's SAME_UPPER says the same.
    """
    reach = [(size - 1) * dilation for size, dilation in zip(window, dilations, strict=True)]
    if padding == "valid":
        return {"pads": [0] * (2 * len(reach))}
    if padding == "causal":
        return {"pads": [*reach, *([0] * len(reach))]}
    if padding != "same":
        raise ValueError(f"padding {padding!r} is none of valid, same, causal")
    totals = []
    for extent, span, stride in zip(shape_of(x)[2:], reach, strides, strict=True):
        if stride == 1:
            totals.append(span)
        elif extent is None:
            return {"auto_pad": "SAME_UPPER"}
        else:
            outputs = -(-extent // stride)
            totals.append(max((outputs - 1) * stride + span + 1 - extent, 0))
    return {"pads": [*(t // 2 for t in totals), *(t - t // 2 for t in totals)]}
