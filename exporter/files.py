"""Opens a .keras or .h5 file without running what it carries."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from kexport.errors import UnreadableModel, UnsupportedModel, UntrustedModel

FILE_KINDS = (".keras", ".h5", ".hdf5")
HINT = "give a whole-model file that keras.Model.save wrote, ending in .keras or .h5"

CARRIES_CODE = frozenset(
    {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
)
"""Classes whose configuration holds marshalled Python, a pickle, or the path of a program."""

_REGISTER = "register it with keras.saving.register_keras_serializable and use kexport from Python"
_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_DAMAGES = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)

LARGEST_CONFIG = 1 << 28
"""Bytes that a configuration may unpack to; the largest Application has 2 MB."""


def load_file(path: Path, *, trust: bool) -> keras.Model:
    """Load a whole model for inference.

    Its configuration is read first, without Keras: a file with Lambda layers, or other layers that
    carry code, is not loaded unless `trust` is set. Classes and functions that are not Keras' own
    are never imported; whoever wants them registers them beforehand.

    Raises:
        UnreadableModel: the file is missing, truncated, or no whole Keras model.
        UntrustedModel: it carries code, and `trust` is not set.
        UnsupportedModel: it names a class or function that is neither Keras' nor registered.
    """
    config = _config(path)
    for part, layer in _objects(config):
        if not trust and part["class_name"] in CARRIES_CODE:
            raise UntrustedModel(
                f"{_name(part, layer)} in {path} carries code that would be run",
                hint="replace it by a layer, or add --trust if you know who wrote the file",
            )
        _refuse_unregistered(path, part, layer)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        reason = _one_line(error)
        if reason.startswith("Unknown layer"):  # a legacy .h5 file says of no class whose it is
            raise UnsupportedModel(
                f"{path} cannot be loaded: {reason.partition('.')[0]}",
                hint=f"save the model as .keras, or {_REGISTER}",
            ) from error
        raise UnreadableModel(f"{path} cannot be loaded: {reason}", hint=HINT) from error


def _config(path: Path) -> Any:
    """The model's configuration as JSON, read without Keras."""
    if path.is_dir():
        saved = (path / "saved_model.pb").exists()
        raise UnreadableModel(
            f"{path} is {'a SavedModel, which Keras 3 does not load' if saved else 'a folder'}",
            hint="save the model again as .keras" if saved else HINT,
        )
    if not path.exists():
        raise UnreadableModel(f"there is no file {path}", hint=HINT)
    if path.suffix not in FILE_KINDS:
        raise UnreadableModel(f"{path} is neither a .keras nor an .h5 file", hint=HINT)
    try:
        if path.stat().st_size == 0:
            raise UnreadableModel(f"{path} is empty", hint="save or copy it again")
        text = _keras_config(path) if path.suffix == ".keras" else _h5_config(path)
        return json.loads(text)
    except _DAMAGES as error:
        kind = "a .keras archive" if path.suffix == ".keras" else "an HDF5 model"
        raise UnreadableModel(
            f"{path} is damaged, or is not {kind}: {_one_line(error)}", hint=HINT
        ) from error


def _keras_config(path: Path) -> bytes:
    if h5py.is_hdf5(path):
        raise UnreadableModel(
            f"{path} is an HDF5 file with the name of a .keras archive",
            hint=f"rename it to {path.with_suffix('.h5').name}",
        )
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
            raise ValueError("its config.json is too large to be a model's")
        return archive.read("config.json")


def _h5_config(path: Path) -> str | bytes:
    with h5py.File(path, "r") as file:
        text: str | bytes | None = file.attrs.get("model_config")
    if text is None:
        raise UnreadableModel(
            f"{path} holds weights and no model",
            hint=f"name the Application that they belong to, with --weights {path}",
        )
    return text


def _refuse_unregistered(path: Path, part: dict[str, Any], layer: str | None) -> None:
    """Refuse a class or function of someone else's: Keras does not import it either."""
    function = part["class_name"] == "function"
    name = part.get("config") if function else part["class_name"]
    if _is_of_keras(part.get("module", "keras"), name):
        return
    names = {name, part.get("registered_name")}
    if any(isinstance(n, str) and keras.saving.get_registered_object(n) for n in names):
        return
    raise UnsupportedModel(
        f"the custom {'function' if function else 'class'} '{name}'"
        f"{f' of layer {layer!r}' if layer else ''} in {path} is not registered",
        hint=_REGISTER,
    )


def _is_of_keras(module: Any, name: Any) -> bool:
    if module == "builtins":
        return any(hasattr(getattr(keras, space), str(name)) for space in _FUNCTIONS)
    return isinstance(module, str) and module.split(".")[0] == "keras"


def _name(part: dict[str, Any], layer: str | None) -> str:
    kind = "a lambda" if part["class_name"] == "__lambda__" else f"a {part['class_name']} layer"
    return f"layer '{layer}', {kind}," if layer else kind


def _objects(config: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Every serialised object in a configuration, with the name of the layer it belongs to."""
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
                yield value, layer
            waiting.extend((item, layer) for item in reversed(value.values()))


def _one_line(error: BaseException) -> str:
    """The first line of what went wrong; Keras puts the innermost reason last."""
    text = str(error).rpartition("Exception encountered:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return textwrap.shorten(lines[0], 200) if lines else type(error).__name__
