"""Walks a Keras model call by call and converts each layer by its rule."""

from __future__ import annotations

from typing import Any

import keras

from kexport.conversion.graph import Graph
from kexport.conversion.rules import rule_for
from kexport.conversion.traced import trace_layer
from kexport.conversion.unsupported import NoRule, refuse_class
from kexport.graphs import is_functional, is_graph, rerun


def call(g: Graph, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Convert one call of a layer, model or operation; tensors come in and go out as `Tensor`.

    A `training` that the call was built with has no say: `Model.predict` overrides it, too.
    """
    with g.scope(operation.name):
        if is_graph(operation):
            return run_graph(g, operation, *args)
        if type(operation) is keras.layers.SpectralNormalization:
            return call(g, operation.layer, *args)
        rule = rule_for(operation)
        if rule is None:
            refuse_class(operation)
            return trace_layer(g, operation, args, kwargs)
        return _apply(rule, g, operation, args, kwargs)


def run_graph(g: Graph, model: Any, inputs: Any) -> Any:
    """Convert every call in the graph of a functional or Sequential model, in Keras' own order."""
    if not is_functional(model):
        for layer in model.layers:
            inputs = call(g, layer, inputs)
        return inputs

    def convert_call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        return call(g, operation, *args, **kwargs)

    return rerun(model, inputs, convert_call)


def _apply(rule: Any, g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
    if kwargs.get("mask") is not None:
        return trace_layer(g, layer, args, kwargs)
    try:
        return rule(g, layer, *args, **given)
    except NoRule:
        return trace_layer(g, layer, args, kwargs)
