"""Tensors of the graph: axes as Keras counts them and as ONNX stores them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

Dim = int | None


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of the Keras graph.

    `value` is the value in the ONNX graph; `order[i]` is the Keras axis that is stored at ONNX axis
    `i`. Keras' usual image layout NHWC, stored as NCHW, has the order (0, 3, 1, 2). Convolutions
    choose the order that they need and elementwise operators keep the order of their input, so
    the graph transposes only where a layer leaves no choice.
    """

    value: ir.Value
    order: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Extent of each Keras axis; None where it is only known at run time."""
        stored = shape_of(self.value)
        return tuple(stored[self.order.index(axis)] for axis in range(self.rank))

    def axis(self, keras_axis: int) -> int:
        """Return the ONNX axis that stores `keras_axis`, which may count from the end."""
        return self.order.index(keras_axis % self.rank)


def shape_of(value: ir.Value) -> tuple[Dim, ...]:
    """Return the extents of a value of known rank as stored; None where they are open."""
    if value.shape is None:
        raise ValueError(f"the rank of {value.name} is not known")
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def as_keras(rank: int) -> tuple[int, ...]:
    """Return the order of a tensor that ONNX stores in the order of Keras' axes."""
    return tuple(range(rank))


def channels_second(rank: int, channel_axis: int) -> tuple[int, ...]:
    """Return the order that ONNX convolutions read: batch, channels, then the other axes."""
    channel = channel_axis % rank
    return (0, channel, *(axis for axis in range(1, rank) if axis != channel))
