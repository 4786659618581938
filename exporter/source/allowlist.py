"""Allow-list of the classes and functions that a model file may name.

While it loads a file, Keras makes the objects that the file names and calls some of them: an
initializer, a layer on its inputs, an operation on constants. Its `safe_mode` refuses lambdas, but
lets a file name any other callable of Keras. Here a file may only name those that
data/allowlist.toml lists.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import keras

from kexport.keras_graph import import_private, legacy_name, symbol

MARKS = frozenset(
    {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
    | {"__tuple__", "TensorShape"}
)
"""Class names of plain values, as keras.src.saving.serialization_lib and
keras.src.legacy.saving.json_utils write them."""

FUNCTION = "function"
"""The `class_name` of a function; its own name is in `config`."""

_BUILTIN = (
    *("activations", "constraints", "initializers", "losses", "metrics", "optimizers"),
    "regularizers",
)
"""Namespaces in which Keras looks for the functions of `builtins`."""

_BARE = (*_BUILTIN, "dtype_policies", "quantizers", "optimizers.schedules")
"""Namespaces in which Keras looks for a name that comes without its module."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A serialized object in a configuration, and the name of the layer that it belongs to."""

    part: Mapping[str, Any]
    layer: str | None
    legacy: bool
    """Whether the loader of .h5 files reads the file: it looks up names without modules."""

    @property
    def is_function(self) -> bool:
        """Whether it is a function and not an instance of a class."""
        return bool(self.part["class_name"] == FUNCTION)

    @property
    def name(self) -> str:
        """The name of the class or function; empty where the file gives none."""
        name = self.part.get("config") if self.is_function else self.part["class_name"]
        return name if isinstance(name, str) else ""

    @property
    def module(self) -> Any:
        """The module that the file gives for it, if any."""
        return self.part.get("module")

    @property
    def is_of_keras(self) -> bool:
        """Whether the file names it as one of Keras' own."""
        if self.module is None or self.module == "builtins":
            return bool(_candidates(self))
        return isinstance(self.module, str) and self.module.split(".")[0] == "keras"

    @property
    def is_registered(self) -> bool:
        """Whether it is registered with Keras in this process, and thereby allowed."""
        names = {self.name, self.part.get("registered_name")}
        found = [n for n in names if isinstance(n, str) and keras.saving.get_registered_object(n)]
        return bool(found)

    @property
    def is_allowed(self) -> bool:
        """Whether everything that Keras could find by its name is on the list."""
        if self.name in MARKS:
            return True
        found = _candidates(self)
        allowed = _functions() if self.is_function else _classes()
        return bool(found) and all(item in allowed for item in found)


def entries(config: Any, *, legacy: bool) -> Iterator[Entry]:
    """Yield every serialised object of a configuration, outer ones first."""
    waiting: list[tuple[Any, str | None]] = [(config, None)]
    while waiting:
        value, layer = waiting.pop()
        if isinstance(value, list):
            waiting.extend((item, layer) for item in reversed(value))
        elif isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                inner = value.get("config")
                if isinstance(inner, dict) and isinstance(inner.get("name"), str):
                    layer = inner["name"]
                yield Entry(value, layer, legacy)
            waiting.extend((item, layer) for item in reversed(value.values()))


def is_legacy_function(text: object) -> bool:
    """Tell whether the loader of .h5 files reads a text as a function that is not on the list.

    It does so for any argument that is the name of a function in `keras.src.layers`.
    """
    found = legacy_name(text) if isinstance(text, str) else None
    return inspect.isfunction(found) and found not in _functions()


def _candidates(entry: Entry) -> list[Callable[..., Any]]:
    """Return every callable of Keras that one of its loaders could find for an entry.

    With a module, Keras looks up module and name. Without one, and always in .h5 files, it looks up
    the name alone: in `keras.src.layers`, or in a table for the argument that the entry is.
    """
    name, module = entry.name, entry.module
    found: list[Any] = []
    if isinstance(module, str) and module != "builtins":
        found.append(symbol(module, name))
    else:
        spaces = _BUILTIN if module else _BARE
        found += [symbol(f"keras.{space}", name) for space in spaces]
    if not entry.is_function and (entry.legacy or module is None):
        found.append(legacy_name(name))
    return [item for item in found if callable(item)]


def table() -> dict[str, dict[str, list[str]]]:
    """Read data/allowlist.toml: names by namespace, under `classes` and `functions`."""
    text = resources.files("kexport.data").joinpath("allowlist.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def _classes() -> frozenset[Callable[..., Any]]:
    return _listed("classes")


@cache
def _functions() -> frozenset[Callable[..., Any]]:
    return _listed("functions")


def _listed(kind: str) -> frozenset[Callable[..., Any]]:
    """Return the listed callables of a kind, without those that the installed Keras lacks."""
    found = []
    for module, names in table()[kind].items():
        import_private(module)
        found += [symbol(module, name) for name in names]
    return frozenset(item for item in found if item is not None)
