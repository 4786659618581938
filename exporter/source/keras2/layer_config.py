"""The configuration of a layer of Keras 2, translated to Keras 3's."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import keras

from kexport.keras_graph import import_private, keras2_hard_sigmoid, symbol
from kexport.source.keras2.refusal import refuse

Permit = Callable[[Mapping[str, Any]], None]
"""Raises for a serialized layer of Keras 3 that a file may not name."""

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""Ends of the arguments that decide nothing once the weights are there."""

_BASE = frozenset({"name", "trainable", "dtype"})
"""Arguments of every layer that passes the rest on to `keras.layers.Layer`."""

_HARD_SIGMOID = keras2_hard_sigmoid.__name__
keras.saving.register_keras_serializable("kexport", _HARD_SIGMOID)(keras2_hard_sigmoid)


def make_layer(entry: Mapping[str, Any], name: str, permit: Permit) -> keras.Layer:
    """Make the Keras 3 layer of a serialized layer of Keras 2.

    Args:
        entry: the layer as the file has it, with `class_name` and `config`.
        name: the name to give it.
        permit: called with the translated layer before it is made.

    Raises:
        UnsupportedModel: it has an argument without an equal in Keras 3.
    """
    translated = translate(entry)
    translated["config"]["name"] = name
    permit(translated)
    return keras.saving.deserialize_keras_object(translated, safe_mode=False)


def translate(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a serialized layer, and the layers in its arguments."""
    given = str(entry["class_name"])
    registered = entry.get("registered_name") or given
    class_name = _tables()["classes"].get(given, given)
    if given in _tables()["gone"]["names"]:
        raise refuse(f"layer {entry['config'].get('name')!r} is a {given}, which Keras 3 has not")
    config = _tables()["defaults"].get(given, {}) | {
        key: _value(key, value)
        for key, value in entry["config"].items()
        if not key.endswith(TRAINING_ONLY)
    }
    module = _tables()["modules"].get(class_name, "keras.layers")
    import_private(module)
    layer = symbol(module, class_name)
    if layer is None:
        named = entry.get("module") or str(registered).partition(">")[0]
        return {**entry, "module": named, "registered_name": registered, "config": config}
    if class_name == "BatchNormalization" and isinstance(config.get("axis"), list):
        (config["axis"],) = config["axis"]
    if class_name == "Lambda":
        config = _lambda_config(config)
    return {
        "module": module,
        "class_name": class_name,
        "config": _accepted(layer, config, str(config.get("name"))),
        "registered_name": None,
    }


def _value(key: str, value: Any) -> Any:
    """Translate the value of an argument."""
    if key == "dtype":
        return _policy(value)
    if isinstance(value, list):
        return [_value("", item) for item in value]
    if value == "hard_sigmoid" and key.endswith("activation"):
        return {
            "module": "builtins",
            "class_name": "function",
            "config": _HARD_SIGMOID,
            "registered_name": f"kexport>{_HARD_SIGMOID}",
        }
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        return translate(value)
    return value


def _policy(value: Any) -> Any:
    """Return the name of a dtype policy."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        return value["config"].get("name", "float32")
    return value


def _accepted(layer: Any, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the arguments that a Keras 3 layer takes; the others must be harmless."""
    parameters = inspect.signature(layer.__init__).parameters.values()
    known = {parameter.name for parameter in parameters}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known |= _BASE
    if issubclass(layer, keras.layers.LeakyReLU):
        known.add("alpha")  # Keras 3 takes it for negative_slope
    harmless, refused = _tables()["harmless"], _tables()["refused"]
    for key, value in config.items():
        meant = harmless.get(key, [])
        is_harmless = meant == "any" or ("none" if value is None else value) in meant
        if (key not in known and not is_harmless) or value in refused.get(key, ()):
            raise refuse(f"layer {name!r} ({layer.__name__}) has {key}={value!r}")
    return {key: value for key, value in config.items() if key in known}


def _lambda_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the arguments of a Lambda layer, whose function is marshalled Python or a name."""
    function = config.get("function")
    if isinstance(function, list):
        code = dict(zip(("code", "defaults", "closure"), function, strict=False))
        function = {"class_name": "__lambda__", "config": code}
    return {
        "name": config.get("name"),
        "function": function,
        "arguments": config.get("arguments") or {},
    }


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("kexport").joinpath("data", "keras2.toml").read_text(encoding="utf-8")
    )
