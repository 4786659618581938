"""TimeDistributed: the steps of all samples as one batch, or one step after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.scan import scan
from kexport.conversion.tensor import Tensor, as_keras, shape_of
from kexport.conversion.unsupported import NoRule, refuse
from kexport.keras_graph import (
    function_name,
    has_nodes,
    is_graph,
    nodes,
    parts,
    private_name,
    takes_mask_argument,
)

Convert = Callable[..., Any]


def time_distributed(
    convert: Convert, g: Graph, layer: Any, x: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Convert TimeDistributed: [batch, time, ...] as [batch * time, ...], and back.

    A layer that may compute one sample from another gets one step at a time instead, in a Scan.
    The inner layer gets the mask of its step, as in Keras, if its call takes one.

    Args:
        convert: converts one call of a layer or model.
        g: the graph.
        layer: the wrapper.
        x: its input.
        mask: the mask of its input, [batch, time, ...].

    Raises:
        NoRule: there are several inputs; nothing has been emitted.
        UnsupportedModel: the inner model has several outputs.
    """
    if not isinstance(x, Tensor):
        raise NoRule("several inputs")
    inner = layer.layer
    read = [x] if mask is None or not takes_mask_argument(inner) else [x, mask]

    def once(tensors: Sequence[Tensor]) -> Tensor:
        y = convert(g, inner, tensors[0], **({"mask": tensors[1]} if len(tensors) > 1 else {}))
        if not isinstance(y, Tensor):
            refuse(layer, "layer", inner.name, "a layer or model with one output")
        return y

    if keeps_samples_apart(inner, x.rank - 1):
        return _unflattened(g, once([_flat(g, tensor) for tensor in read]), like=x)
    _, (y,) = scan(g, lambda _, steps: ([], [once(steps)]), [], read)
    return y


def keeps_samples_apart(layer: Any, rank: int) -> bool:
    """Tell whether a layer or model is known to compute each sample from that sample alone.

    Known are Keras' own layers with Keras' own functions, and models of them.

    Args:
        layer: the layer or model.
        rank: the number of axes of its input, the batch among them.
    """
    ranks = _ranks(layer, rank)
    return all(_is_known(part) and not _on_batch(part, ranks[part]) for part in parts(layer))


_KNOWN = ("layers.", "models.", "ops.nn.", "applications.")
"""Modules of Keras whose classes compute each sample alone, unless told to work on axis 0."""

_OF_WHOLE_BATCHES = ("ops.nn.PSNR", "layers.core.lambda_layer.Lambda")
"""Classes in these modules that do not."""

_FUNCTIONS = ("activation", "recurrent_activation")
"""Attributes of layers that may hold a user's own function."""

_AXES = ("axis", "axes", "_attention_axes")
"""Attributes of layers and operations that say on which axes they work."""


def _is_known(part: Any) -> bool:
    name = private_name(type(part))
    known = name.startswith(_KNOWN) and name not in _OF_WHOLE_BATCHES
    return known and not _has_own_function(part)


def _ranks(layer: Any, rank: int) -> defaultdict[Any, set[int]]:
    """Return how many axes the inputs have of a layer and of what the models in it call.

    Those of a layer inside another layer are not known.
    """
    found: defaultdict[Any, set[int]] = defaultdict(set, {layer: {rank}})
    for model in parts(layer):
        if is_graph(model) and has_nodes(model):
            for node in nodes(model):
                found[node.operation].update(len(x.shape) for x in node.input_tensors)
    return found


def _on_batch(part: Any, ranks: set[int]) -> bool:
    """Tell whether a layer or operation may work on the first axis of inputs of any of `ranks`."""
    for name in _AXES:
        axes = getattr(part, name, ())
        for axis in axes if isinstance(axes, (list, tuple)) else [axes]:
            if axis is None:  # all axes, but for a Normalization by two numbers
                if not isinstance(part, keras.layers.Normalization):
                    return True
            elif axis == 0 or (axis < -1 and (not ranks or -axis >= min(ranks))):
                return True
    return False


def _has_own_function(part: Any) -> bool:
    functions = [getattr(part, name, None) for name in _FUNCTIONS]
    return any(not isinstance(one, keras.Layer) and not function_name(one) for one in functions)


def _flat(g: Graph, x: Tensor) -> Tensor:
    """Reshape [batch, time, ...] to [batch * time, ...]."""
    value = g.in_keras_order(x)
    flat = _reshape(g, value, [-1], kept=2)
    flat.shape = ir.Shape([flat.shape[0] if flat.shape else None, *(value.shape or ())[2:]])
    return Tensor(flat, as_keras(x.rank - 1))


def _unflattened(g: Graph, y: Tensor, like: Tensor) -> Tensor:
    """Reshape [batch * time, ...] to [batch, time, ...], where these are as in `like`."""
    value, source = g.in_keras_order(y), g.in_keras_order(like)
    time = like.shape[1]
    shaped = _reshape(
        g, value, g.part_of_shape(source, 0, 2) if time is None else [-1, time], kept=1
    )
    shaped.shape = ir.Shape([*(source.shape or ())[:2], *(value.shape or ())[1:]])
    return Tensor(shaped, as_keras(y.rank + 1))


def _reshape(g: Graph, value: ir.Value, first: ir.Value | Sequence[int], kept: int) -> ir.Value:
    """Put other axes in front of those from `kept` on."""
    rest = [extent or 0 for extent in shape_of(value)[kept:]]
    if 0 not in rest and not isinstance(first, ir.Value):
        return g.reshape(value, [*first, *rest])
    head = first if isinstance(first, ir.Value) else g.integers(first, "first")
    tail = (
        g.integers(rest, "rest")
        if 0 not in rest
        else g.part_of_shape(value, kept, kept + len(rest))
    )
    return g.op("Reshape", value, g.op("Concat", head, tail, axis=0))
