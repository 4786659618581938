"""Models that are graphs of layers, and how to call their layers anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras.src.models.functional import Functional

Step = Callable[..., Any]
"""Called with a layer and with what it is called on, gives the layer's outputs."""


def is_graph(operation: Any) -> bool:
    """Whether calling `operation` means no more than running its graph of layers."""
    return type(operation) is keras.Sequential or is_functional(operation)


def is_functional(operation: Any) -> bool:
    """Whether `operation` is a functional model, or a subclass that computes nothing else."""
    return isinstance(operation, Functional) and type(operation).call is Functional.call


def rerun(model: Any, inputs: Any, step: Step) -> Any:
    """Run every call in the graph of `model`, in Keras' own order.

    `Function._run_through_graph` is what `keras.models.clone_model(call_function=...)` runs; called
    directly it makes no second set of layers and leaves no trace on the model.

    Args:
        model: a functional or Sequential model that is built.
        inputs: tensors, symbolic or not, in the structure that its call takes.
        step: makes each call, `step(layer, *args, **kwargs)`; an inner model is a layer.
    """
    graph = model._functional if type(model) is keras.Sequential else model
    return graph._run_through_graph(inputs, call_fn=step)


def operations(model: Any) -> list[Any]:
    """The layers, inner models and operations that the graph of `model` calls."""
    graph = model._functional if type(model) is keras.Sequential else model
    return [o for o in graph.operations if not isinstance(o, keras.layers.InputLayer)]
