"""Shift of a uint8 image, rounded to an integer that a zero point represents."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import attribute, constant, numbers, small, sole_user
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents
from kexport.graph.weights import add_to_bias, response_to

LARGEST_REST = 0.5
"""The largest part of a shift that goes into the bias, in units of a pixel value: that of
rounding to the nearest integer."""


@Pass
def round_input_shift(model: ir.Model) -> None:
    """Round the shift between the Cast of a uint8 image and a Conv to an integer.

    Conv(Cast(x) + t, W, b) ==> Conv(Cast(x) + t', W, b') with t' = trunc(t) and
    b' = b + sum over inputs, height and width of W * (t - t')

    Applies where t' is in -255..0 and differs from t by at most 0.5. The shift -127.5 of mode tf
    becomes -127: the image itself, with zero point 127, is then the quantized input of the Conv.
    Exact without padding; with padding, the pixels beyond the border are shifted by t - t' too.
    """
    for node in list(model.graph):
        if node.op_type != "Add":
            continue
        cast = None if node.inputs[0] is None else node.inputs[0].producer()
        conv, shift = sole_user(node.outputs[0]), small(node.inputs[1])
        if cast is None or cast.op_type != "Cast" or conv is None or conv.op_type != "Conv":
            continue
        source = cast.inputs[0]
        if source is None or source.dtype != ir.DataType.UINT8 or shift is None:
            continue
        whole = np.trunc(shift.astype(np.float64).mean())
        rest = shift.astype(np.float64).reshape(-1) - whole
        weights = constant(conv.inputs[1])
        if weights is None or not -255 <= whole <= 0 or np.abs(rest).max() > LARGEST_REST:
            continue
        count = extents(weights)[1] * int(attribute(conv, "group", 1))
        channels = np.broadcast_to(rest, (count,))
        add_to_bias(model.graph, conv, response_to(conv, channels))
        node.replace_input_with(
            1, numbers(model.graph, f"{node.name}.whole", np.asarray(whole, np.float32))
        )
