"""Per-channel affine steps, y = x * scale + shift, in whatever operator they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, small


@dataclass(frozen=True, slots=True)
class Affine:
    """y[c] = x[c] * scale[c] + shift[c], on the channels of one axis of `x`.

    `scale` and `shift` have one number a channel, float64, so that folding several steps rounds
    once.
    """

    x: ir.Value
    scale: Array
    shift: Array

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return int(self.scale.size)

    def after(self, first: Affine) -> Affine:
        """This step on the result of `first`, as one step."""
        return Affine(first.x, first.scale * self.scale, first.shift * self.scale + self.shift)


def affine_of(node: ir.Node | None, axis: int) -> Affine | None:
    """The affine step that `node` is on the channels of axis number `axis`, if it is one.

    BatchNormalization (axis 1), and Mul, Div, Add, Sub with a constant that is one number, or one a
    channel.
    """
    if node is None or not node.inputs:
        return None
    if node.op_type == "BatchNormalization":
        return _batch_norm(node) if axis == 1 else None
    if node.op_type not in ("Mul", "Div", "Add", "Sub"):
        return None
    x, operand = node.inputs[0], small(node.inputs[1])
    if operand is None and node.op_type in ("Mul", "Add"):
        x, operand = node.inputs[1], small(node.inputs[0])
    if x is None or operand is None or x.shape is None or small(x) is not None:
        return None
    channels = x.shape[axis] if len(x.shape) > axis else None
    if not isinstance(channels, int):
        return None
    values = _per_channel(operand, channels, axis, len(x.shape))
    if values is None:
        return None
    one, zero = np.ones(channels), np.zeros(channels)
    if node.op_type == "Div" and np.any(values == 0):
        return None
    return {
        "Mul": lambda: Affine(x, values, zero),
        "Div": lambda: Affine(x, 1 / values, zero),
        "Add": lambda: Affine(x, one, values),
        "Sub": lambda: Affine(x, one, -values),
    }[node.op_type]()


def _batch_norm(node: ir.Node) -> Affine | None:
    x = node.inputs[0]
    scale, shift, mean, variance = (small(value) for value in node.inputs[1:5])
    if x is None or scale is None or shift is None or mean is None or variance is None:
        return None
    epsilon = float(attribute(node, "epsilon", 1e-5))
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return Affine(x, factor, shift - mean * factor)


def _per_channel(operand: Array, channels: int, axis: int, rank: int) -> Array | None:
    """`operand` as one float64 a channel, or None if it varies along another axis too."""
    if not np.issubdtype(operand.dtype, np.floating) or operand.ndim > rank:
        return None
    shape = (1,) * (rank - operand.ndim) + operand.shape
    if any(extent != 1 for i, extent in enumerate(shape) if i != axis):
        return None
    if shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(operand.astype(np.float64).reshape(-1), (channels,)).copy()
