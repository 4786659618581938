"""Names and kinds of a model's outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kexport.conversion.tensor import Tensor
from kexport.keras_graph import function_name, has_default_name, producer
from kexport.outputs import Activation, Kind, Output

_FUNCTIONS: dict[str, Activation] = {"Sigmoid": "sigmoid", "Tanh": "tanh"}
"""Operators of ONNX, and the names of the functions in Keras."""

_ACTIVATIONS = (*_FUNCTIONS.values(), "softmax", "linear")

_ENDS_IN_ACTIVATION = tuple(
    getattr(keras.layers, name)
    for name in (
        *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"),
        *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
        *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    )
)
"""Layers with weights that apply their `activation` last."""

_MOVES = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that change no number."""


def name_outputs(
    model: keras.Model,
    results: Any,
    kind: Kind | None = None,
    *,
    taken: Sequence[str] = (),
) -> tuple[Output, ...]:
    """Describe the outputs of a model, in the order of `keras.tree.flatten(results)`.

    An output keeps the key that it has in a dict, or the name of its layer; characters such as a
    colon become underscores. The only output of an Application is named after its kind:
    `probabilities`, `logits` or `features`. So is a single softmax whose layer was given no name:
    Keras then counts the layers of the process, and the name would change with it. No output has
    the name of an input: none in `taken`, and not `image`.

    A softmax is of kind `probabilities`. A layer without activation is a `tensor`, since its
    numbers may be logits or anything else.

    Args:
        model: the model that is converted.
        results: its outputs after conversion, in its own structure.
        kind: the kind of an Application's only output.
        taken: the names of its inputs.
    """
    layers = [_layer_of(x) for x in keras.tree.flatten(getattr(model, "outputs", []) or [])]
    values = keras.tree.flatten(results)
    layers += [None] * (len(values) - len(layers))
    activations = [_activation(layer, result) for layer, result in zip(layers, values, strict=True)]
    kinds: list[Kind] = ["probabilities" if one == "softmax" else "tensor" for one in activations]
    names = [layer.name if layer is not None else f"output_{i}" for i, layer in enumerate(layers)]
    if kind is not None and len(values) == 1:
        kinds, names = [kind], [kind]
    elif isinstance(results, dict):
        paths = [path for path, _ in keras.tree.flatten_with_path(results)]
        names = ["_".join(map(str, path)) for path in paths]
    elif kinds == ["probabilities"] and (layers[0] is None or has_default_name(layers[0])):
        names = ["probabilities"]
    free = [f"{name}_output" if name in (*taken, "image") else name for name in _clean(names)]
    return tuple(
        Output(
            name,
            kind,
            model.name if layer is None else layer.name,
            _classes(result),
            activation=activation,
            rank=result.rank,
            channels=result.shape[-1] if result.rank else None,
        )
        for name, kind, layer, activation, result in zip(
            _distinct(free), kinds, layers, activations, values, strict=True
        )
    )


def _layer_of(tensor: Any) -> Any:
    """Return the innermost layer that makes an output; None where Keras knows none."""
    layer, index = producer(tensor)
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        layer, index = producer(layer.outputs[index])
    return layer


def _activation(layer: Any, result: Tensor) -> Activation | None:
    """Return the function that an output comes out of, by its layer or by the nodes that make it.

    A layer that applies a function as its last step tells it; a layer such as an LSTM, whose
    `activation` is used inside, does not.
    """
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    name = function_name(getattr(layer, "activation", None))
    if isinstance(layer, _ENDS_IN_ACTIVATION) and name in _ACTIVATIONS:
        found: Activation = name
        return found
    if isinstance(layer, keras.layers.Activation) and name == "softmax":
        return "softmax"
    return _activation_of_value(result)


def _activation_of_value(result: Tensor) -> Activation | None:
    """Return the function of the node that makes a value, where operators only move its numbers.

    A softmax counts only where nothing is moved after it, so that it is over the last axis.
    """
    node = result.value.producer()
    if node is not None and node.op_type == "Softmax":
        axis = node.attributes.get_int("axis", -1)
        return "softmax" if axis in (-1, result.rank - 1) else None
    while node is not None and node.op_type in _MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return None if node is None else _FUNCTIONS.get(node.op_type)


def _classes(result: Tensor) -> int | None:
    """Return the length of each sample's row of numbers; None where it is no such row."""
    return result.shape[1] if result.rank == 2 else None


def _clean(names: list[str]) -> list[str]:
    return [re.sub(r"[^A-Za-z0-9_./-]", "_", name) for name in names]


def _distinct(names: list[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}_{names[:i].count(name)}"
        for i, name in enumerate(names)
    ]
