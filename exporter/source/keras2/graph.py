"""Models built from the configuration of Keras 2: Sequential and functional ones, nested or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kexport.keras_graph import operations_between
from kexport.source.keras2.functions import LAYERS
from kexport.source.keras2.layer_config import Permit, make_layer
from kexport.source.keras2.refusal import refuse

MODELS = frozenset({"Functional", "Model", "Sequential"})

_CONSTANT = "_CONSTANT_VALUE"
"""The name of a layer in whose place a call has a constant."""

_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
"""Layers that Keras 2 calls with a list of their input and their initial states."""


@dataclass(frozen=True, slots=True)
class Member:
    """A layer of a model: its name and class in the file, and what it is now."""

    name: str
    class_name: str
    made: Any
    """A layer, a function of tensors, or a `Built` model."""


@dataclass(frozen=True, slots=True)
class Built:
    """A model with its layers in the order of the file."""

    model: Any
    """The model, or a TimeDistributed of it."""
    members: tuple[Member, ...]


def build(config: Mapping[str, Any], permit: Permit) -> Built:
    """Build a model from its serialized form, `class_name` and `config`.

    Raises:
        UnsupportedModel: a part of it has no equal in Keras 3.
        KexportError: as `permit` raises.
    """
    kind, inner = config["class_name"], config["config"]
    if kind not in MODELS:
        raise refuse(f"the model is of the class {kind!r}, whose code is not in the file")
    if isinstance(inner, list):  # Keras before 2.2.3
        inner = {"name": "sequential", "layers": inner}
    return _sequential(inner, permit) if kind == "Sequential" else _functional(inner, permit)


def _sequential(config: Mapping[str, Any], permit: Permit) -> Built:
    entries = list(config["layers"])
    members = [_member(entry, permit) for entry in entries]
    if entries[0]["class_name"] != "InputLayer":
        members.insert(0, Member("input", "InputLayer", _input_of(config, entries[0], members[0])))
    x = first = members[0].made
    for member in members[1:]:
        x = _call(member, x, {})
    model = keras.Model(first, x, name=_free_name(str(config["name"])))
    return Built(model, tuple(members))


def _input_of(config: Mapping[str, Any], entry: Mapping[str, Any], first: Member) -> Any:
    """Make the input of a Sequential model whose first layer is none."""
    if isinstance(first.made, Built) and isinstance(first.made.model, keras.Model):
        return keras.tree.map_structure(_like, first.made.model.input)
    inner = entry["config"]
    shape = inner.get("batch_input_shape") or config.get("build_input_shape")
    if shape is None:
        raise refuse(f"the input shape of {config['name']!r} is not in the file")
    return keras.Input(batch_shape=tuple(shape), dtype=_input_dtype(entry, first))


def _input_dtype(entry: Mapping[str, Any], first: Member) -> str | None:
    """Return the type that the first layer of a Sequential model takes; None for any floats."""
    if isinstance(first.made, Built):  # repeated over time
        return str(first.made.model.layer.input.dtype)
    inner = entry["config"].get("layer")
    return (
        "int32" if "Embedding" in (entry["class_name"], (inner or {}).get("class_name")) else None
    )


def _like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)


def _functional(config: Mapping[str, Any], permit: Permit) -> Built:
    members = {entry["name"]: _member(entry, permit) for entry in config["layers"]}
    calls = [
        (entry["name"], place, node)
        for entry in config["layers"]
        for place, node in enumerate(entry["inbound_nodes"])
    ]
    first_calls = _first_calls(config, members)
    tensors: dict[tuple[str, int], list[Any]] = {
        (name, 0): [member.made]
        for name, member in members.items()
        if member.class_name == "InputLayer"
    }
    while calls:
        waiting = []
        for name, place, node in calls:
            if all(key in tensors for key in _read(node, members)):
                made = _call(members[name], *_arguments(node, members, tensors))
                tensors[name, place + first_calls[name]] = keras.tree.flatten(made)
            else:
                waiting.append((name, place, node))
        if len(waiting) == len(calls):
            raise refuse(f"the inputs of layer {waiting[0][0]!r} are not in the file")
        calls = waiting
    inputs, outputs = (
        _tensors_of(config[key], tensors) for key in ("input_layers", "output_layers")
    )
    model = keras.Model(inputs, outputs, name=_free_name(str(config["name"])))
    return Built(model, tuple(members.values()))


def _member(entry: Mapping[str, Any], permit: Permit) -> Member:
    kind, config = str(entry["class_name"]), entry["config"]
    if kind in MODELS:
        name = entry.get("name") or (config["name"] if isinstance(config, dict) else "sequential")
        return Member(str(name), kind, build(entry, permit))
    name = str(entry.get("name") or config["name"])
    if kind == "InputLayer":
        return Member(name, kind, _input(config, name))
    if kind in LAYERS:
        return Member(name, kind, LAYERS[kind](config))
    if kind == "TimeDistributed" and config["layer"]["class_name"] in MODELS:
        inner = build(config["layer"], permit)
        repeated = keras.layers.TimeDistributed(inner.model, name=_free_name(name))
        return Member(name, kind, Built(repeated, inner.members))
    return Member(name, kind, make_layer(entry, _free_name(name), permit))


def _input(config: Mapping[str, Any], name: str) -> Any:
    if config.get("sparse") or config.get("ragged"):
        raise refuse(f"input {name!r} is sparse or ragged")
    shape = config.get("batch_input_shape") or config["batch_shape"]
    return keras.Input(batch_shape=tuple(shape), dtype=config.get("dtype"), name=_free_name(name))


def _free_name(name: str) -> str:
    """Return a name without the slashes that Keras 3 refuses."""
    return name.replace("/", "_")


def _call(member: Member, given: Any, keywords: Mapping[str, Any]) -> Any:
    training = keywords.get("training")
    if training is not None and training is not False:
        raise refuse(f"layer {member.name!r} is called with training={training!r}, also in predict")
    others = {key: value for key, value in keywords.items() if key != "training"}
    made = member.made.model if isinstance(member.made, Built) else member.made
    if isinstance(made, _RECURRENT) and isinstance(given, list):
        return made(given[0], initial_state=given[1:], **others)
    result = made(_as_taken(member, given), **others)
    name = _free_name(member.name)
    for number, operation in enumerate(operations_between([given, others], result)):
        if operation is not made or member.class_name in LAYERS:  # named by Keras until now
            operation.name = f"{name}.{number}" if number else name
    return result


def _as_taken(member: Member, given: Any) -> Any:
    """Return the tensor that a layer of images is given, in floats as Keras 2 casts it.

    Raises:
        UnsupportedModel: the layer averages whole numbers, and Keras 2 rounds the result.
    """
    kind = member.class_name
    images = kind in ("CenterCrop", "Resizing") or (
        kind.startswith("Random") and kind not in ("RandomHeight", "RandomWidth")
    )
    averages = kind.startswith("GlobalAveragePooling")
    if not (images or averages) or "float" in getattr(given, "dtype", "float32"):
        return given
    if averages:
        raise refuse(f"layer {member.name!r} ({kind}) rounds the average of {given.dtype}")
    return ops.cast(given, getattr(member.made, "compute_dtype", "float32"))


def _first_calls(config: Mapping[str, Any], members: Mapping[str, Member]) -> dict[str, int]:
    """Return the number that the file gives to the first call of each layer.

    An inner model that was built with an input counts its own construction as call 0.
    """
    found = dict.fromkeys(members, 0)
    for name, member in members.items():
        if isinstance(member.made, Built):
            calls = {place for other, place in _all_read(config, members) if other == name}
            found[name] = min(calls, default=0)
    return found


def _all_read(config: Mapping[str, Any], members: Mapping[str, Member]) -> list[tuple[str, int]]:
    nodes = [node for entry in config["layers"] for node in entry["inbound_nodes"]]
    read = [key for node in nodes for key in _read(node, members)]
    return read + [(name, place) for name, place, _ in _references(config["output_layers"])]


def _references(structure: Any) -> list[tuple[str, int, int]]:
    """List the [name, call, output] in a list or dict of them, or a single one."""
    if isinstance(structure, dict):
        return [each for value in structure.values() for each in _references(value)]
    if structure and isinstance(structure[0], str):
        return [(structure[0], structure[1], structure[2])]
    return [each for value in structure for each in _references(value)]


def _tensors_of(structure: Any, tensors: Mapping[tuple[str, int], list[Any]]) -> Any:
    if isinstance(structure, dict):
        return {key: _tensors_of(value, tensors) for key, value in structure.items()}
    if structure and isinstance(structure[0], str):
        name, place, output = structure[:3]
        return tensors[name, place][output]
    found = [_tensors_of(value, tensors) for value in structure]
    return found[0] if len(found) == 1 else found


def _is_argument(value: Any, members: Mapping[str, Member]) -> bool:
    """Return whether a value of JSON is a tensor: [name, call, output], with arguments or not."""
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return False
    are_numbers = all(isinstance(each, int) for each in value[1:3])
    return value[0] == _CONSTANT or (value[0] in members and are_numbers)


def _read(node: Any, members: Mapping[str, Member]) -> list[tuple[str, int]]:
    """List the calls whose outputs a call reads."""
    if _is_argument(node, members):
        name, place = node[:2]
        own = [] if name == _CONSTANT else [(name, place)]
        return own + [key for part in node[3:] for key in _read(part, members)]
    if isinstance(node, dict):
        return [key for part in node.values() for key in _read(part, members)]
    if isinstance(node, list):
        return [key for part in node for key in _read(part, members)]
    return []


def _arguments(
    node: Any, members: Mapping[str, Member], tensors: Mapping[tuple[str, int], list[Any]]
) -> tuple[Any, dict[str, Any]]:
    """Return the first argument of a call, tensors in any structure, and the others by name."""
    keywords: dict[str, Any] = {}

    def filled(part: Any) -> Any:
        if _is_argument(part, members):
            name, place, output = part[:3]
            for extra in part[3:]:
                keywords.update(extra)
            return output if name == _CONSTANT else tensors[name, place][output]
        if isinstance(part, dict):
            return {key: filled(value) for key, value in part.items()}
        return [filled(value) for value in part] if isinstance(part, list) else part

    first = filled(node)
    if isinstance(first, list) and len(first) == 1:
        (first,) = first
    return first, {key: filled(value) for key, value in dict(keywords).items()}
