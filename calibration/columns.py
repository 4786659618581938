"""What the weights of one layer are multiplied with, as rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.passes.edit import attribute

Array = np.ndarray[Any, Any]


def columns(node: ir.Node, parts: Sequence[Array], shape: Sequence[int], most: int) -> Array:
    """Inputs of a Conv or Gemm for some places of its output, float32 [groups, places, K].

    K runs over the window's pixels and within each over the input channels of a group, as
    `pairs.rows` has the weights ("im2col", K. Chellapilla et al., 2006).

    Args:
        node: without `auto_pad`; a Gemm without `transA`.
        parts: the input, batch by batch, [N, C, H, W] or [N, C]; none is larger than the first.
        shape: of the weights.
        most: how many places are taken at most, as many from each batch, at regular distances.
    """
    each = max(1, most // len(parts))
    take = _of_conv if node.op_type == "Conv" else _of_gemm
    found, filled = np.empty((0, 0, 0)), 0
    for part in parts:
        rows = take(node, part, shape, each)
        if not filled:
            whole = len(rows), len(parts) * rows.shape[1], rows.shape[2]
            found = np.empty_like(rows, shape=whole)
        found[:, filled : filled + rows.shape[1]] = rows
        filled += rows.shape[1]
    return found[:, :filled]


def _of_gemm(node: ir.Node, part: Array, shape: Sequence[int], most: int) -> Array:
    return part[_regular(len(part), most)][np.newaxis]


def _of_conv(node: ir.Node, part: Array, shape: Sequence[int], most: int) -> Array:
    groups, (height, width) = int(attribute(node, "group", 1)), shape[2:]
    steps = attribute(node, "strides", [1, 1])
    apart = attribute(node, "dilations", [1, 1])
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    count, channels, high, wide = part.shape
    rows = (high + top + bottom - apart[0] * (height - 1) - 1) // steps[0] + 1
    across = (wide + left + right - apart[1] * (width - 1) - 1) // steps[1] + 1
    picture, place = np.divmod(_regular(count * rows * across, most), rows * across)
    row, column = np.divmod(place, across)
    found = np.empty((len(place), height * width, channels), part.dtype)
    for index, (y, x) in enumerate(np.ndindex(height, width)):
        down, over = row * steps[0] + y * apart[0] - top, column * steps[1] + x * apart[1] - left
        inside = (down >= 0) & (down < high) & (over >= 0) & (over < wide)
        seen = part[picture, :, down.clip(0, high - 1), over.clip(0, wide - 1)]
        found[:, index] = seen if inside.all() else seen * inside[:, np.newaxis]
    grouped = found.reshape(len(place), height * width, groups, channels // groups)
    return np.moveaxis(grouped, 2, 0).reshape(groups, len(place), -1)


def _regular(count: int, most: int) -> Array:
    """Up to `most` of the first `count` numbers, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)
