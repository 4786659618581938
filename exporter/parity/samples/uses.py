"""What reads the inputs of a Keras model: tables of ids, masks, and layers that imply a range."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kexport.arrays import Array
from kexport.conversion import input_specs
from kexport.keras_graph import flatten_layers, is_graph, nodes


@dataclass(frozen=True, slots=True)
class Ids:
    """The input holds integers in 0..`count`-1, which look up rows of a table."""

    count: int


@dataclass(frozen=True, slots=True)
class Mask:
    """The input is a mask itself: true where a step counts."""


@dataclass(frozen=True, slots=True)
class MaskValue:
    """Steps of the input with this value are masked."""

    value: float


@dataclass(frozen=True, slots=True)
class Range:
    """The input is rescaled first, so its values are within a range."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gaussian:
    """The input is normalised first; arrays that broadcast to one sample."""

    mean: Array
    deviation: Array


Use = Ids | Mask | MaskValue | Range | Gaussian

PASSES_ON = frozenset(
    {
        *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"),
        *("Reshape", "Flatten", "Permute", "RepeatVector", "Cropping1D", "Cropping2D"),
        *("Cast", "ExpandDims", "Squeeze", "Transpose", "Swapaxes", "Moveaxis", "GetItem", "Slice"),
        *("Copy", "Stack", "Concatenate", "Tile", "BroadcastTo", "Split", "Flip", "StopGradient"),
        *("LogicalAnd", "LogicalNot"),
    }
)
"""Classes of layers and operations that give the values that they were given."""

TABLES = {
    "Embedding": "input_dim",
    "ReversibleEmbedding": "input_dim",
    "CategoryEncoding": "num_tokens",
    "OneHot": "num_classes",
}
"""Classes that take ids, and the attribute that says how many there are."""


def uses_of(model: keras.Model) -> list[tuple[Use, ...]]:
    """Return what reads each input of a model, in the order of `input_specs`.

    An input is followed through inner models and through the classes in `PASSES_ON`. The graph of a
    subclassed model or layer is not known: its inputs may be ids for any table that it holds.
    """
    count = len(input_specs(model))
    found: list[dict[str, Use]] = [{} for _ in range(count)]
    if is_graph(model) and model.inputs:
        start = {id(tensor): frozenset([place]) for place, tensor in enumerate(model.inputs)}
        read = _follow(model, start)
    else:
        read = ((place, use) for place in range(count) for use in _held_tables(model))
    for place, use in read:
        found[place][repr(use)] = use
    return [tuple(uses.values()) for uses in found]


def _follow(model: Any, origins: dict[int, frozenset[int]]) -> Iterator[tuple[int, Use]]:
    """Yield the uses of inputs inside `model`, call by call.

    Args:
        model: a functional or Sequential model.
        origins: the id() of a symbolic tensor -> the inputs whose values it holds. It has the
            inputs of `model`, and gets the tensors that its calls pass on.
    """
    for call in nodes(model):
        known = [origins[id(x)] for x in call.input_tensors if id(x) in origins]
        if not known:
            continue
        operation, arguments = call.operation, _arguments(call)
        for tensors, use in _uses(operation, arguments):
            for tensor in keras.tree.flatten(tensors):
                yield from ((place, use) for place in origins.get(id(tensor), ()))
        if is_graph(operation):
            given = keras.tree.flatten(next(iter(arguments.values())))
            pairs = list(zip(operation.inputs, given, strict=True))
            inner = {id(own): origins[id(x)] for own, x in pairs if id(x) in origins}
            yield from _follow(operation, inner)
            outputs = zip(operation.outputs, call.outputs, strict=True)
            origins.update((id(x), inner[id(own)]) for own, x in outputs if id(own) in inner)
        elif type(operation).__name__ in PASSES_ON:
            origins.update((id(output), frozenset().union(*known)) for output in call.outputs)


def _arguments(call: Any) -> dict[str, Any]:
    """Return the arguments of a call by the names of its parameters."""
    arguments = call.arguments
    try:
        bound = inspect.signature(call.operation.call).bind_partial(
            *arguments.args, **arguments.kwargs
        )
    except (TypeError, ValueError):  # a call of *args, or written in C
        return {"inputs": arguments.args, **arguments.kwargs}
    return dict(bound.arguments)


def _uses(operation: Any, arguments: Mapping[str, Any]) -> Iterator[tuple[Any, Use]]:
    """Yield arguments of a call, and what it uses them for."""
    values = [value for name, value in arguments.items() if "mask" not in name]
    for name, value in arguments.items():
        if "mask" in name and value is not None:
            yield value, Mask()
    layer = getattr(operation, "layer", None) or operation
    kind = type(layer).__name__
    if kind in TABLES:
        yield values, Ids(int(getattr(layer, TABLES[kind])))
        if getattr(layer, "mask_zero", False):
            yield values, MaskValue(0)
    elif kind == "Take":
        table = getattr(arguments["x"], "shape", ())
        count = None if layer.axis is None or not table else table[layer.axis]
        if count is not None:
            yield arguments["indices"], Ids(int(count))
    elif kind == "Masking":
        yield values, MaskValue(float(layer.mask_value))
    elif kind in ("Equal", "NotEqual"):
        for value in values:
            if isinstance(value, (int, float)):
                yield values, MaskValue(value)
    elif kind == "Rescaling":
        yield from ((values, use) for use in _rescaled(layer))
    elif kind == "Normalization":
        yield from ((values, use) for use in _normalised(layer))
    elif isinstance(layer, keras.layers.Layer) and not is_graph(layer):
        yield from ((values, use) for use in _held_tables(layer))


def _rescaled(layer: Any) -> Iterable[Use]:
    """Return the range 0..x that becomes 0..1 or, with a negative offset, is centred at zero."""
    scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
    if scale.size > 1 or offset.size > 1 or not scale.all():
        return []
    end = (-2 * offset.item() if offset < 0 else 1) / scale.item()
    return [Range(min(0.0, end), max(0.0, end))]


def _normalised(layer: Any) -> Iterable[Use]:
    if layer.invert or getattr(layer, "mean", None) is None:
        return []
    of_layer = (layer.mean, layer.variance)
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value)) for value in of_layer)
    if mean.ndim:
        mean, variance = mean[0], variance[0]
    return [Gaussian(mean, np.sqrt(variance))]


def _held_tables(layer: Any) -> Iterable[Use]:
    """Return the tables inside a layer or model whose graph is not known, the smallest first."""
    inside = [each for each in flatten_layers(layer) if type(each).__name__ in TABLES]
    counts = {int(getattr(each, TABLES[type(each).__name__])) for each in inside}
    return [Ids(count) for count in sorted(counts)]
