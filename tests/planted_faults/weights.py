"""Faults in kernels and biases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from support import Array

from planted_faults.fault import Fault, Mutate, Rng, array, nodes, one, put

KERNELS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators with a kernel as the second input."""

RECURRENT = ("LSTM", "GRU", "RNN")


def kernels(model: ir.Model) -> list[tuple[ir.Node, int]]:
    """Return each node with a constant kernel of two axes or more, and its axis of outputs."""
    found = []
    for node in nodes(model, *KERNELS):
        kernel = array(node, 1)
        if kernel is not None and kernel.ndim > 1:
            found.append((node, _outputs(node, kernel.ndim)))
    return found


def _outputs(node: ir.Node, rank: int) -> int:
    if node.op_type == "Conv" or (node.op_type == "Gemm" and "transB" in node.attributes):
        return 0
    return rank - 1 if node.op_type == "MatMul" else 1


def changed(change: Callable[[Array, int, Rng], Array | None]) -> Mutate:
    """Make a fault that changes one kernel; the function gets its axis of output channels."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        found = one(rng, kernels(model))
        if found is None:
            return False
        node, axis = found
        kernel = array(node, 1)
        after = None if kernel is None else change(kernel.copy(), axis, rng)
        if after is None or kernel is None or np.array_equal(after, kernel):
            return False
        return put(model, node, 1, after)

    return mutate


def _one_off(kernel: Array, axis: int, rng: Rng) -> Array:
    """Move one weight by the spread of its kernel."""
    kernel.flat[int(rng.integers(kernel.size))] += kernel.std() or abs(kernel).max() or 1.0
    return kernel


def _one_percent(kernel: Array, axis: int, rng: Rng) -> Array:
    """Make one weight larger by a hundredth."""
    kernel.flat[int(rng.integers(kernel.size))] *= 1.01
    return kernel


def _exchanged(kernel: Array, axis: int, rng: Rng) -> Array | None:
    if kernel.shape[axis] < 2:
        return None
    moved = np.moveaxis(kernel, axis, 0)
    first, second = rng.choice(len(moved), 2, replace=False)
    moved[[first, second]] = moved[[second, first]]
    return kernel


def _inputs_reversed(kernel: Array, axis: int, rng: Rng) -> Array | None:
    return np.flip(kernel, 1 - axis) if axis < 2 and kernel.shape[1 - axis] > 1 else None


def _transposed(kernel: Array, axis: int, rng: Rng) -> Array | None:
    return np.swapaxes(kernel, -1, -2) if kernel.shape[-1] == kernel.shape[-2] > 1 else None


def _turned(kernel: Array, axis: int, rng: Rng) -> Array | None:
    window = tuple(range(2, kernel.ndim))
    return np.flip(kernel, window) if kernel.ndim > 3 else None


def _channel_scaled(kernel: Array, axis: int, rng: Rng) -> Array:
    np.moveaxis(kernel, axis, 0)[int(rng.integers(kernel.shape[axis]))] *= 1.2
    return kernel


def _slightly_scaled(kernel: Array, axis: int, rng: Rng) -> Array:
    return kernel * np.float32(0.99)


def biases(model: ir.Model) -> list[tuple[ir.Node, int]]:
    """Return each place of a bias: third inputs of kernels, and constants that are added."""
    found = [(node, 2) for node in nodes(model, "Conv", "ConvTranspose", "Gemm")]
    for node in nodes(model, "Add"):
        sides = [producer.op_type if producer else "" for producer in _makers(node)]
        found += [(node, 1 - at) for at in (0, 1) if sides[at] in KERNELS]
    return [(node, at) for node, at in found if array(node, at) is not None]


def _makers(node: ir.Node) -> list[ir.Node | None]:
    return [value.producer() if value else None for value in node.inputs]


def bias(change: Callable[[Array, Rng], Array]) -> Mutate:
    """Make a fault that changes one bias."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        found = one(rng, biases(model))
        if found is None:
            return False
        node, at = found
        before = array(node, at)
        if before is None:
            return False
        after = change(before.copy(), rng)
        return not np.array_equal(after, before) and put(model, node, at, after)

    return mutate


def _one_forgotten(values: Array, rng: Rng) -> Array:
    values.flat[int(rng.integers(values.size))] = 0
    return values


def recurrent(change: Callable[[Array, Rng], Array]) -> Mutate:
    """Make a fault in the weights of a recurrent operator, [directions, gates * units, inputs]."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, nodes(model, *RECURRENT))
        at = int(rng.integers(1, 3))
        values = None if node is None else array(node, at)
        if values is None:
            return False
        after = change(values.copy(), rng)
        return not np.array_equal(after, values) and put(model, node, at, after)

    return mutate


def _gates_exchanged(values: Array, rng: Rng) -> Array:
    units = values.shape[1] // 4 or 1
    return np.roll(values, units, axis=1)


FAULTS = (
    Fault("one weight off", changed(_one_off)),
    Fault("one weight 1 % off", changed(_one_percent)),
    Fault("two output channels exchanged", changed(_exchanged)),
    Fault("input channels reversed", changed(_inputs_reversed)),
    Fault("kernel transposed", changed(_transposed)),
    Fault("kernel turned", changed(_turned)),
    Fault("one channel folded with a wrong scale", changed(_channel_scaled)),
    Fault("folded with twice the epsilon", changed(_slightly_scaled)),
    Fault("bias missing", bias(lambda values, rng: np.zeros_like(values))),
    Fault("bias of one channel missing", bias(_one_forgotten)),
    Fault("biases of other channels", bias(lambda values, rng: np.roll(values, 1, axis=-1))),
    Fault("gates exchanged", recurrent(_gates_exchanged)),
    Fault("recurrent weight off", recurrent(lambda values, rng: _one_off(values, 0, rng))),
)
