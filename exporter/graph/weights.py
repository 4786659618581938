"""Lazy changes of weights and biases: large weights are read when the model is written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, constant, initializer, small
from kexport.graph.shapes import extents


def scale_outputs(graph: ir.Graph, node: ir.Node, scale: Array) -> None:
    """Multiply each output channel of a Conv or a MatMul by its `scale`, through the weights."""
    conv = node.op_type == "Conv"

    def scaled(weights: Array) -> Array:
        return _product(weights, scale.reshape(-1, *[1] * (weights.ndim - 1)) if conv else scale)

    change_weights(graph, node, scaled)


def scale_inputs(graph: ir.Graph, node: ir.Node, scale: Array) -> None:
    """Multiply each input channel of a Conv or a Gemm by its `scale`, through the weights."""
    if node.op_type == "Gemm":
        across = scale if attribute(node, "transB", 0) else scale[:, np.newaxis]
        change_weights(graph, node, lambda weights: _product(weights, across))
        return
    per_output = _inputs_of_outputs(node, scale)

    def scaled(weights: Array) -> Array:
        return _product(weights, per_output.reshape(*per_output.shape, *[1] * (weights.ndim - 2)))

    change_weights(graph, node, scaled)


def reorder_inputs(graph: ir.Graph, node: ir.Node, channels: Array) -> None:
    """Permute the weights of a Conv without groups to read its input before a reordering.

    `channels` has, for each channel after the reordering, its channel before.
    """
    inverse = np.argsort(channels)
    change_weights(graph, node, lambda weights: weights[:, inverse])


def add_to_bias(graph: ir.Graph, node: ir.Node, addend: Array, scale: Array | float = 1.0) -> None:
    """Replace the bias b of a Conv by b * scale + addend; a missing bias counts as zero."""
    old = small(node.inputs[2]) if len(node.inputs) > 2 else None
    new = addend if old is None else old.astype(np.float64) * scale + addend
    if old is None and not np.any(new):
        return
    dtype = node.inputs[1].dtype if node.inputs[1] is not None else None
    value = initializer(
        graph, f"{node.name}.bias", lambda: new, dtype or ir.DataType.FLOAT, new.shape
    )
    node.resize_inputs(3)
    node.replace_input_with(2, value)


def response_to(node: ir.Node, shift: Array) -> Array:
    """Compute the change of a Conv's outputs, without padding, if its inputs grow by `shift`."""
    weights = constant(node.inputs[1])
    if weights is None:
        raise ValueError(f"the weights of {node.name} are not constant")
    numbers = weights.numpy().astype(np.float64)
    summed = numbers.reshape(*numbers.shape[:2], -1).sum(axis=2)
    return np.asarray((summed * _inputs_of_outputs(node, shift)).sum(axis=1))


def has_padding(node: ir.Node) -> bool:
    """Return whether a Conv or pool reads beyond its input."""
    auto_pad = attribute(node, "auto_pad", "NOTSET")
    return any(attribute(node, "pads", [])) or auto_pad not in ("NOTSET", "VALID")


def change_weights(graph: ir.Graph, node: ir.Node, change: Callable[[Array], Array]) -> None:
    """Give `node` changed weights of the same shape; other readers keep the old ones."""
    value = node.inputs[1]
    weights = constant(value)
    if value is None or weights is None:
        raise ValueError(f"the weights of {node.name} are not constant")
    held = weights
    changed = initializer(
        graph,
        f"{node.name}.weight",
        lambda: change(held.numpy()),
        held.dtype,
        extents(held),
    )
    node.replace_input_with(1, changed)


def _product(weights: Array, factor: Array) -> Array:
    """Multiply in float64, rounded once to the dtype of `weights` and stored in their order."""
    product = np.empty_like(weights)
    np.multiply(weights, factor, out=product, dtype=np.float64, casting="same_kind")
    return product


def _inputs_of_outputs(node: ir.Node, per_input: Array) -> Array:
    """Return `per_input` as [outputs, inputs of a group]: those of the channels each reads."""
    weights = constant(node.inputs[1])
    if weights is None:
        raise ValueError(f"the weights of {node.name} are not constant")
    outputs, inputs = extents(weights)[:2]
    groups = int(attribute(node, "group", 1))
    return np.repeat(per_input.reshape(groups, inputs), outputs // groups, axis=0)
