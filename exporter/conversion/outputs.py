"""Names and kinds of a model's outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kexport.conversion.tensor import Tensor
from kexport.keras_graph import producer
from kexport.outputs import Kind, Output


def name_outputs(
    model: keras.Model,
    results: Any,
    kind: Kind | None = None,
    *,
    taken: Sequence[str] = (),
) -> tuple[Output, ...]:
    """Describe the outputs of a model, in the order of `keras.tree.flatten(results)`.

    Names have no colon and are the same in every process. A single output is named after its kind:
    `probabilities` for a softmax, `logits` for a dense layer without activation, `features` for the
    last layer of an Application without its classifier. Several outputs keep their key in a dict or
    the name of their layer. No output has the name of an input: none in `taken`, and not `image`.

    Args:
        model: the model that is converted.
        results: its outputs after conversion, in its own structure.
        kind: the kind of a single output, where more is known than its layer tells.
        taken: the names of its inputs.
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
    owners = [layer.name if layer is not None else model.name for layer in layers]
    classes = [_classes(result) for result in keras.tree.flatten(results)]
    return tuple(map(Output, _distinct(free), kinds, owners, classes))


def _layer_of(tensor: Any) -> Any:
    """Return the innermost layer that makes an output; None where Keras knows none."""
    layer, index = producer(tensor)
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        layer, index = producer(layer.outputs[index])
    return layer


def _kind(layer: Any) -> Kind:
    function = getattr(getattr(layer, "activation", None), "__name__", "")
    if function == "softmax" or isinstance(layer, keras.layers.Softmax):
        return "probabilities"
    if isinstance(layer, keras.layers.Dense) and function == "linear":
        return "logits"
    return "tensor"


def _classes(result: Tensor) -> int | None:
    """Return the length of each sample's row of numbers; None where it is no such row."""
    return result.shape[1] if result.rank == 2 else None


def _kind_of_value(result: Tensor) -> Kind:
    """Return the kind of an output whose layer is unknown, by the node that makes it."""
    node = result.value.producer()
    return "probabilities" if node is not None and node.op_type == "Softmax" else "tensor"


def _clean(names: list[str]) -> list[str]:
    return [re.sub(r"[^A-Za-z0-9_./-]", "_", name) for name in names]


def _distinct(names: list[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}_{names[:i].count(name)}"
        for i, name in enumerate(names)
    ]
