"""Graph of a Keras model: its calls in the order in which they can run, and its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import keras
from keras.src.models.functional import Functional

from kexport.errors import UnsupportedModel

Step = Callable[..., Any]
"""Makes one call: takes the layer and its arguments, returns the layer's outputs."""


def is_graph(operation: Any) -> bool:
    """Tell whether calling `operation` only runs its graph of layers."""
    return type(operation) is keras.Sequential or is_functional(operation)


def has_nodes(model: Any) -> bool:
    """Tell whether a functional or Sequential model has recorded the calls of its layers.

    A Sequential model has not where it takes a structure of tensors; it calls one layer after the
    other.
    """
    return _functional(model) is not None


def is_functional(operation: Any) -> bool:
    """Tell whether `operation` is a functional model, or a subclass that keeps its `call`."""
    return isinstance(operation, Functional) and type(operation).call is Functional.call


def rerun(model: Any, inputs: Any, step: Step) -> Any:
    """Run every call in the graph of `model` through `step`, in Keras' own order.

    Unlike `keras.models.clone_model(call_function=...)` this makes no second set of layers and
    leaves no trace on the model. Each tensor is dropped after its last use: Keras' own run keeps
    all of them to the end, which is 4 GB for each image in EfficientNetB7.

    Args:
        model: a functional or Sequential model that is built.
        inputs: tensors, symbolic or not, in the structure that the model's call takes.
        step: makes each call, `step(layer, *args, **kwargs)`; an inner model is a layer.

    Returns:
        The outputs of `model`, in their own structure.

    Raises:
        UnsupportedModel: a layer declares another number of outputs than it has.
    """
    graph = _functional(model)
    values = dict(zip(map(id, graph.inputs), keras.tree.flatten(inputs), strict=True))
    calls = nodes(graph)
    uses = Counter(id(symbol) for call in calls for symbol in call.input_tensors)
    uses.update(map(id, graph.outputs))
    for call in calls:
        args, kwargs = call.arguments.fill_in(values)
        outputs = keras.tree.flatten(step(call.operation, *args, **kwargs))
        if len(outputs) != len(call.outputs):
            _refuse_other_outputs(call, len(outputs))
        values.update(zip(map(id, call.outputs), outputs, strict=True))
        del args, kwargs, outputs  # or they would keep tensors alive during the next call
        for symbol in call.input_tensors:
            uses[id(symbol)] -= 1
            if not uses[id(symbol)]:
                del values[id(symbol)]
    results = [values[id(symbol)] for symbol in graph.outputs]
    return keras.tree.pack_sequence_as(graph._outputs_struct, results)


def _refuse_other_outputs(call: Any, count: int) -> NoReturn:
    layer = call.operation
    raise UnsupportedModel(
        f"layer {layer.name!r} ({type(layer).__name__}) declares {len(call.outputs)} outputs to "
        f"Keras, and its call returns {count}",
        hint="call it outside of the exported model, or mend its compute_output_spec",
    )


def nodes(model: Any) -> list[Any]:
    """Return the calls in the graph of a model, in the order in which Keras runs them.

    Each has an `operation`, `arguments`, `input_tensors` and `outputs` (keras.src.ops.node.Node).
    """
    by_depth = _functional(model)._nodes_by_depth
    calls = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in calls if not node.is_input]


def operations(model: Any) -> list[Any]:
    """Return the layers, inner models and operations that the graph of `model` calls."""
    found = _functional(model).operations
    return [one for one in found if not isinstance(one, keras.layers.InputLayer)]


def flatten_layers(model: keras.Model) -> list[Any]:
    """Return the layers inside a model to any depth, without the models among them."""
    found = model._flatten_layers(include_self=False)
    return [layer for layer in found if not isinstance(layer, keras.Model)]


def parts(layer: Any) -> Iterator[Any]:
    """Yield a layer or model, the layers and models in it to any depth, and their operations."""
    within = [layer, *layer._flatten_layers(include_self=False)]
    yield from within
    for model in within:
        if is_graph(model) and has_nodes(model):
            yield from (one for one in operations(model) if not isinstance(one, keras.Layer))


def readers(layer: Any) -> list[Any]:
    """Return the calls that read the outputs of a layer, in all models that use it."""
    return list(getattr(layer, "_outbound_nodes", ()))


def producer(tensor: Any) -> tuple[Any, int]:
    """Return the operation that makes a symbolic tensor, and the index among its outputs.

    The operation is None where Keras knows none.
    """
    history = getattr(tensor, "_keras_history", None)
    return (None, 0) if history is None else (history.operation, history.tensor_index)


def operations_between(inputs: Any, outputs: Any) -> list[Any]:
    """List the operations that compute `outputs` from `inputs`, symbolic tensors, last ones first.

    Both may be structures, in which everything else is left out.
    """
    known = {id(tensor) for tensor in keras.tree.flatten(inputs)}
    waiting, found = list(keras.tree.flatten(outputs)), []
    while waiting:
        tensor = waiting.pop(0)
        history = getattr(tensor, "_keras_history", None)
        if history is None or id(tensor) in known:
            continue
        known.add(id(tensor))
        if history.operation not in found:
            found.append(history.operation)
        waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return found


def _functional(model: Any) -> Any:
    """Return the functional model that a Sequential model runs; any other model itself."""
    return model._functional if type(model) is keras.Sequential else model
