"""A value of the graph, as Keras sees it and as ONNX stores it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

Dim = int | None


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of the Keras graph.

    `value` is what the ONNX graph stores; `order[i]` is the Keras axis that is stored at ONNX axis
    `i`. Keras' usual image layout NHWC stored as NCHW has the order (0, 3, 1, 2). Convolutions ask
    for the order they need, everything elementwise keeps the order it is given, so that the
    graph transposes only where a layer leaves no choice.
    """

    value: ir.Value
    order: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Extent of each Keras axis; None where it is known only at run time."""
        stored = shape_of(self.value)
        return tuple(stored[self.order.index(axis)] for axis in range(self.rank))

    def axis(self, keras_axis: int) -> int:
        """The ONNX axis that stores `keras_axis`, which may count from the end."""
        return self.order.index(keras_axis % self.rank)


def shape_of(value: ir.Value) -> tuple[Dim, ...]:
    """Extents of a value as stored; None where only run time knows. The rank must be known."""
    if value.shape is None:
        raise ValueError(f"the rank of {value.name} is not known")
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def as_keras(rank: int) -> tuple[int, ...]:
    """The order in which ONNX stores a tensor just as Keras sees it."""
    return tuple(range(rank))


def channels_second(rank: int, channel_axis: int) -> tuple[int, ...]:
    """The order ONNX convolutions want: batch, channels, then the other axes as they stand."""
    channel = channel_axis % rank
    return (0, channel, *(axis for axis in range(1, rank) if axis != channel))
