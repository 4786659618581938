"""TimeDistributed: the steps of all samples as one batch, or one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.scan import scan
from kexport.conversion.tensor import Tensor, as_keras, shape_of
from kexport.conversion.unsupported import NoRule, refuse
from kexport.keras_graph import function_name, parts, private_name, takes_mask_argument

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

    if keeps_samples_apart(inner):
        return _unflattened(g, once([_flat(g, tensor) for tensor in read]), like=x)
    _, (y,) = scan(g, lambda _, steps: ([], [once(steps)]), [], read)
    return y


def keeps_samples_apart(layer: Any) -> bool:
    """Tell whether a layer or model is known to compute each sample from that sample alone.

    Known are Keras' own layers with Keras' own functions, and models of them.
    """
    inner = list(parts(layer))
    return all(private_name(type(part)).startswith(_KNOWN) for part in inner) and not any(
        isinstance(part, keras.layers.Lambda) or _on_batch(part) or _has_own_function(part)
        for part in inner
    )


_KNOWN = ("layers.", "models.", "ops.nn.", "applications.")
"""Modules of Keras whose classes compute each sample alone, unless told to work on axis 0."""

_FUNCTIONS = ("activation", "recurrent_activation")
"""Attributes of layers that may hold a user's own function."""


def _on_batch(part: Any) -> bool:
    axes = getattr(part, "axis", None)
    return 0 in (axes if isinstance(axes, (list, tuple)) else [axes])


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
    shaped = _reshape(g, value, _axes(g, source, 0, 2) if time is None else [-1, time], kept=1)
    shaped.shape = ir.Shape([*(source.shape or ())[:2], *(value.shape or ())[1:]])
    return Tensor(shaped, as_keras(y.rank + 1))


def _reshape(g: Graph, value: ir.Value, first: ir.Value | Sequence[int], kept: int) -> ir.Value:
    """Put other axes in front of those from `kept` on."""
    rest = [extent or 0 for extent in shape_of(value)[kept:]]
    if 0 not in rest and not isinstance(first, ir.Value):
        return g.reshape(value, [*first, *rest])
    head = first if isinstance(first, ir.Value) else g.integers(first, "first")
    tail = g.integers(rest, "rest") if 0 not in rest else _axes(g, value, kept, kept + len(rest))
    return g.op("Reshape", value, g.op("Concat", head, tail, axis=0))


def _axes(g: Graph, value: ir.Value, begin: int, end: int) -> ir.Value:
    """Emit the extents of some axes; not with attributes of Shape, which opset 15 introduced."""
    ends = (g.integers([begin], "starts"), g.integers([end], "ends"))
    return g.op("Slice", g.op("Shape", value), *ends)
