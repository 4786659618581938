"""Walks a Keras model call by call and converts each layer by its rule."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.models.functional import Functional

from kexport.conversion.graph import Graph
from kexport.conversion.rules import rule_for
from kexport.conversion.traced import trace_layer
from kexport.errors import UnsupportedModel


def call(g: Graph, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Convert one call of a layer, model or operation; tensors come in and go out as `Tensor`."""
    with g.scope(operation.name):
        if is_functional(operation):
            return run_functional(g, operation, *args)
        if type(operation) is keras.Sequential:
            return _run_sequential(g, operation, *args)
        rule = rule_for(operation)
        if rule is None:
            return trace_layer(g, operation, args, kwargs)
        return _apply(rule, g, operation, args, kwargs)


def is_functional(operation: Any) -> bool:
    """Whether calling `operation` means no more than running its graph of layers."""
    return isinstance(operation, Functional) and type(operation).call is Functional.call


def run_functional(g: Graph, model: Any, inputs: Any) -> Any:
    """Convert every call in a functional model's graph, in Keras' own order.

    `Function._run_through_graph` is what `keras.models.clone_model(call_function=...)` runs; called
    directly it makes no second set of layers and leaves no trace on the model.
    """

    def convert_call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        return call(g, operation, *args, **kwargs)

    return model._run_through_graph(inputs, call_fn=convert_call)


def _run_sequential(g: Graph, model: Any, inputs: Any) -> Any:
    for layer in model.layers:
        inputs = call(g, layer, inputs)
    return inputs


def _apply(rule: Any, g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs.get("training"):
        raise UnsupportedModel(
            f"layer {layer.name!r} ({type(layer).__name__}) is called with training=True",
            hint="build the model for inference: leave `training` out of the call",
        )
    given = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
    if kwargs.get("mask") is not None:
        return trace_layer(g, layer, args, kwargs)
    return rule(g, layer, *args, **given)
