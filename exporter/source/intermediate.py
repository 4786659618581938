"""Intermediate outputs: a model whose outputs are those of chosen layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kexport.errors import BadArgument, UnsupportedModel, did_you_mean
from kexport.keras_graph import is_graph, operations, rerun, structured


def at_layers(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Return the model with the outputs of the layers `names`, in that order; itself without names.

    A layer inside an inner model is named by its path, `inner/layer`, or by its own name where that
    is unique. A layer that is called several times gives an output for each call. The result shares
    all layers with `model`.

    Raises:
        BadArgument: the model has no layer of that name, or several inner models have one.
        UnsupportedModel: the model is not a graph of layers.
    """
    if not names:
        return model
    if not is_graph(model) or not getattr(model, "inputs", None):
        raise UnsupportedModel(
            f"model {model.name!r} is subclassed: its layers have no outputs of their own",
            hint="build it as a functional model, or leave out `output_layers`",
        )
    paths = list(_paths(model))
    wanted = [_path(model, name, paths) for name in names]
    inputs = structured(model, model.inputs)
    _, found = _read(model, inputs, set(wanted), {})
    outputs = [tensor for path in wanted for tensor in found[path]]
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def _paths(model: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of every layer, `inner/layer` inside an inner model."""
    for operation in operations(model):
        yield f"{prefix}{operation.name}"
        if is_graph(operation):
            yield from _paths(operation, f"{prefix}{operation.name}/")


def _path(model: keras.Model, name: str, paths: Sequence[str]) -> str:
    if name in paths:
        return name
    found = [path for path in paths if path.rpartition("/")[2] == name]
    if len(found) > 1:
        raise BadArgument(
            f"model {model.name!r} has {len(found)} layers named {name!r}",
            hint=f"say which: {' or '.join(found)}",
        )
    if not found:
        names = {path.rpartition("/")[2] for path in paths}
        hint = did_you_mean(name, sorted(names | {*paths}))
        raise BadArgument(
            f"model {model.name!r} has no layer {name!r}",
            hint=hint or "keras.Model.summary(expand_nested=True) lists the layers' names",
        )
    return found[0]


def _read(
    model: Any, inputs: Any, paths: set[str], extended: dict[int, Any], prefix: str = ""
) -> tuple[Any, dict[str, list[Any]]]:
    """Call every layer of `model` again; return its outputs, and those at `paths` for each call.

    An inner model that contains some of the paths is replaced by one that returns their outputs
    after its own; `extended` keeps it for the next call.
    """
    found: dict[str, list[Any]] = {}

    def step(operation: Any, *args: Any, **kwargs: Any) -> Any:
        path = f"{prefix}{operation.name}"
        inner = {one for one in paths if one.startswith(f"{path}/")}
        if inner and id(operation) not in extended:
            extended[id(operation)] = _extended(operation, inner, extended, f"{path}/")
        if not inner:
            outputs = operation(*args, **kwargs)
        else:
            model, own, places = extended[id(operation)]
            flat = keras.tree.flatten(model(*args))
            outputs = keras.tree.pack_sequence_as(own, flat[: len(flat) - len(places)])
            for place, tensor in zip(places, flat[len(flat) - len(places) :], strict=True):
                found.setdefault(place, []).append(tensor)
        if path in paths:
            found.setdefault(path, []).extend(keras.tree.flatten(outputs))
        return outputs

    return rerun(model, inputs, step), found


def _extended(
    model: Any, paths: set[str], extended: dict[int, Any], prefix: str
) -> tuple[keras.Model, Any, list[str]]:
    """Extend an inner model by the outputs at `paths`.

    Returns:
        The extended model, the structure of its own outputs, and the path of each further output.
    """
    inputs = structured(model, model.inputs)
    own, found = _read(model, inputs, paths, extended, prefix)
    places = [path for path, tensors in found.items() for _ in tensors]
    further = [tensor for tensors in found.values() for tensor in tensors]
    return keras.Model(inputs, [*keras.tree.flatten(own), *further], name=model.name), own, places
