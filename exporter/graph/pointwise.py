"""Convolutions of single pixels."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from kexport.graph.edit import attribute


def is_pointwise(node: ir.Node, sizes: Sequence[int]) -> bool:
    """Return whether a Conv, with weights of some `sizes`, is a matrix product at each pixel.

    That is one of 1 x 1 pixel without groups, strides and pads, on [N, C, H, W].
    """
    plain = attribute(node, "group", 1) == 1 and set(attribute(node, "strides", [1])) == {1}
    return plain and list(sizes[2:]) == [1, 1] and not any(attribute(node, "pads", [0]))
