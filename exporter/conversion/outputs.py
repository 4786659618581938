"""What a model's outputs are, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from kexport.conversion.tensor import Tensor

Kind = Literal["probabilities", "logits", "features", "tensor"]


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model.

    `layer` is the Keras layer that makes it, or the model where that is subclassed; `kind` says how
    to read the numbers.
    """

    name: str
    kind: Kind
    layer: str


def name_outputs(
    model: keras.Model,
    results: Any,
    kind: Kind | None = None,
    *,
    taken: Sequence[str] = (),
) -> tuple[Output, ...]:
    """Stable, colon-free names in the order of `keras.tree.flatten(results)`.

    A single output is named after its kind: `probabilities` for a softmax, `logits` for a dense
    layer without activation that ends a classifier, `features` for anything else that an
    Application's body ends in. Outputs of a model that has several keep the key or the Keras name
    they have. An output never has the name of an input: not one in `taken`, and not `image`.
    """
    layers = [_layer_of(x) for x in keras.tree.flatten(getattr(model, "outputs", []) or [])]
    count = len(keras.tree.flatten(results))
    layers += [None] * (count - len(layers))
    kinds = [
        _kind(layer) if layer is not None else _kind_of_value(result)
        for layer, result in zip(layers, keras.tree.flatten(results), strict=True)
    ]
    if kind is not None and count == 1:
        kinds = [kind]
    names = [layer.name if layer is not None else f"output_{i}" for i, layer in enumerate(layers)]
    if isinstance(results, dict):
        paths = [path for path, _ in keras.tree.flatten_with_path(results)]
        names = ["_".join(map(str, path)) for path in paths]
    elif count == 1:
        names = [kinds[0] if kinds[0] != "tensor" else names[0]]
    free = [f"{name}_output" if name in (*taken, "image") else name for name in _clean(names)]
    return tuple(
        Output(name, kind, layer.name if layer is not None else model.name)
        for name, kind, layer in zip(_distinct(free), kinds, layers, strict=True)
    )


def _layer_of(tensor: Any) -> Any:
    """The innermost layer that makes an output: a nested model stands for its own last layer."""
    history = getattr(tensor, "_keras_history", None)
    layer = history.operation if history is not None else None
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        inner = layer.outputs[history.tensor_index if history is not None else 0]
        history = getattr(inner, "_keras_history", None)
        layer = history.operation if history is not None else None
    return layer


def _kind(layer: Any) -> Kind:
    function = getattr(getattr(layer, "activation", None), "__name__", "")
    if function == "softmax" or isinstance(layer, keras.layers.Softmax):
        return "probabilities"
    if isinstance(layer, keras.layers.Dense) and function == "linear":
        return "logits"
    return "tensor"


def _kind_of_value(result: Tensor) -> Kind:
    """The kind of an output that no layer is known to make, by the node that makes it."""
    node = result.value.producer()
    return "probabilities" if node is not None and node.op_type == "Softmax" else "tensor"


def _clean(names: list[str]) -> list[str]:
    return [re.sub(r"[^A-Za-z0-9_./-]", "_", name) for name in names]


def _distinct(names: list[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}_{names[:i].count(name)}"
        for i, name in enumerate(names)
    ]
