"""Per-channel affine nodes, y = x * scale + shift, of any operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, small


@dataclass(frozen=True, slots=True)
class Affine:
    """y[c] = x[c] * scale[c] + shift[c], on the channels of one axis of `x`.

    `scale` and `shift` have one float64 number for each channel, so that fusing several nodes
    rounds once.
    """

    x: ir.Value
    scale: Array
    shift: Array

    @property
    def channels(self) -> int:
        """The number of channels."""
        return int(self.scale.size)

    def after(self, first: Affine) -> Affine:
        """Return this step on the result of `first` as one step."""
        return Affine(first.x, first.scale * self.scale, first.shift * self.scale + self.shift)


def affine_of(node: ir.Node | None, axis: int) -> Affine | None:
    """Return `node` as an affine step on the channels of axis `axis`; None if it is not one.

    It is one if it is a BatchNormalization (axis 1), or a Mul, Div, Add or Sub with a constant of
    one number, or one for each channel.
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
    match node.op_type:
        case "Mul":
            return Affine(x, values, zero)
        case "Div":
            return Affine(x, 1 / values, zero)
        case "Add":
            return Affine(x, one, values)
        case _:
            return Affine(x, one, -values)


def _batch_norm(node: ir.Node) -> Affine | None:
    x = node.inputs[0]
    scale, shift, mean, variance = (small(value) for value in node.inputs[1:5])
    if x is None or scale is None or shift is None or mean is None or variance is None:
        return None
    epsilon = float(attribute(node, "epsilon", 1e-5))
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return Affine(x, factor, shift - mean * factor)


def _per_channel(operand: Array, channels: int, axis: int, rank: int) -> Array | None:
    """Return `operand` as one float64 per channel; None if it varies along another axis."""
    if not np.issubdtype(operand.dtype, np.floating) or operand.ndim > rank:
        return None
    shape = (1,) * (rank - operand.ndim) + operand.shape
    if any(extent != 1 for i, extent in enumerate(shape) if i != axis):
        return None
    if shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(operand.astype(np.float64).reshape(-1), (channels,)).copy()
