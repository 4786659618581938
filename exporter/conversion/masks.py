"""Masks beside the tensors of the graph, as Keras keeps them beside its own.

`Graph.masks` takes the place of the attribute `_keras_mask`: the mask of a tensor can change after
it was made, for MultiHeadAttention takes it away from the very tensors that it is given. What a
layer does with masks is decided as `keras.Layer.__call__` decides it: it fills the arguments `mask`
and `<argument>_mask`, and gives the outputs what `compute_mask` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor, as_keras
from kexport.keras_graph import call_arguments


@dataclass(frozen=True, slots=True)
class LayerCall:
    """A call of a layer, with its masks."""

    first: Any
    """The first argument."""
    rest: dict[str, Any]
    """All others that the caller gave, by name, and the masks that Keras fills in."""
    previous: Any
    """The mask that goes to `compute_mask`: a structure of masks like that of `first`."""
    masked: bool
    """Whether any mask takes part."""


def fill(g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LayerCall:
    """Fill in the masks of a call of a layer, by the rules of `keras.Layer.__call__`.

    `mask` is filled where the layer has one argument of tensors, `<argument>_mask` where it has
    several; neither where the caller gave a mask.
    """
    arguments = call_arguments(layer, args, kwargs)
    tensors = {name: value for name, value in arguments.items() if _holds_tensors(value)}
    first = next(iter(arguments.values()))
    given = {name: arguments[name] for name in list(arguments)[1 : len(args)]} | kwargs
    automatic = {}
    for name, value in tensors.items():
        mask_name = "mask" if len(tensors) == 1 else f"{name}_mask"
        if mask_name in arguments and arguments[mask_name] is None:
            automatic[mask_name] = _masks(g, value)
    previous = {**kwargs, **automatic}.get("mask")
    if previous is None:
        previous = _masks(g, first)
    rest = {**given, **automatic}
    rest = {name: value for name, value in rest.items() if value is not None and name != "training"}
    masks = [value for name, value in rest.items() if name == "mask" or name.endswith("_mask")]
    masked = any(mask is not None for mask in keras.tree.flatten([previous, *masks]))
    return LayerCall(first, rest, previous, masked)


def leave(g: Graph, layer: Any, call: LayerCall, outputs: Any) -> None:
    """Give the outputs of a layer the masks that its `compute_mask` returns.

    Only for a layer whose `compute_mask` hands on what it gets: it is called on `Tensor`.
    """
    flat = keras.tree.flatten(outputs)
    if not layer.supports_masking or all(output in g.masks for output in flat):
        return
    masks = layer.compute_mask(call.first, call.previous)
    if masks is not None:
        for output, mask in zip(flat, keras.tree.flatten(masks), strict=False):
            if mask is not None:
                g.masks.setdefault(output, as_tensor(g, mask))


def replace(g: Graph, inputs: Any, given: Any) -> None:
    """Give the inputs of a model the masks that it is called with, where there are any."""
    for tensor, mask in zip(keras.tree.flatten(inputs), keras.tree.flatten(given), strict=False):
        if mask is not None:
            g.masks[tensor] = as_tensor(g, mask)


def without(g: Graph, outputs: Any) -> Any:
    """Return the outputs of a rule as tensors without a mask.

    A rule may return the very tensor that it was given, with its mask, where Keras makes a new one.
    """
    return keras.tree.map_structure(
        lambda y: Tensor(y.value, y.order) if y in g.masks else y, outputs
    )


def as_tensor(g: Graph, mask: Any) -> Tensor:
    """Return a mask as a tensor of the graph; an array becomes a constant."""
    if isinstance(mask, Tensor):
        return mask
    array = np.asarray(mask)
    return Tensor(g.constant(array, "mask"), as_keras(array.ndim))


def _masks(g: Graph, tensors: Any) -> Any:
    return keras.tree.map_structure(
        lambda x: g.masks.get(x) if isinstance(x, Tensor) else None, tensors
    )


def _holds_tensors(value: Any) -> bool:
    """Tell whether an argument is a tensor or array, or a structure of nothing else but None."""
    if not keras.tree.is_nested(value):
        return _is_tensor(value)
    flat = keras.tree.flatten(value)
    return bool(flat) and all(x is None or _is_tensor(x) for x in flat)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__array__")
