"""Opens a .keras or .h5 file without running what it carries."""

from __future__ import annotations

import contextlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from kexport.errors import UnreadableModel, UnsupportedModel, UntrustedModel

FILE_KINDS = (".keras", ".h5", ".hdf5")
HINT = "give a whole-model file that keras.Model.save wrote, ending in .keras or .h5"


def load_file(path: Path, *, trust: bool) -> keras.Model:
    """Load a whole model for inference.

    The configuration is read first: a file with Lambda layers, or with classes that are neither
    Keras' nor registered, is not loaded unless `trust` is set, since loading it would run its code.

    Raises:
        UnreadableModel: the file is missing, truncated, or no whole Keras model.
        UntrustedModel: it carries code, and `trust` is not set.
        UnsupportedModel: it names a class that cannot be found.
    """
    config = _config(path)
    if not trust:
        _refuse_code(path, config)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except (TypeError, ValueError, OSError, KeyError, AttributeError, ImportError) as error:
        reason = _one_line(error)
        if "Could not locate" in reason or "Unknown layer" in reason:
            raise UnsupportedModel(
                f"{path} names a class that is not known: {reason}",
                hint="register it with keras.saving.register_keras_serializable and use kexport "
                "from Python, or --trust the file to import it",
            ) from error
        raise UnreadableModel(f"{path} cannot be loaded: {reason}", hint=HINT) from error


def _config(path: Path) -> Any:
    """The model's configuration as JSON, read without Keras."""
    if path.is_dir():
        raise UnreadableModel(
            f"{path} is a folder: kexport reads no SavedModel",
            hint="save the model as .keras from Keras 3",
        )
    if not path.exists():
        raise UnreadableModel(f"there is no file {path}", hint=HINT)
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        kind = "a .keras archive" if path.suffix == ".keras" else "an HDF5 file"
        raise UnreadableModel(f"{path} is not {kind}: {_one_line(error)}", hint=HINT) from error
    if text is None:
        raise UnreadableModel(
            f"{path} holds weights and no model",
            hint="name the Application they belong to, with --weights " + str(path),
        )
    return json.loads(text)


def _refuse_code(path: Path, config: Any) -> None:
    for part in _objects(config):
        name = part.get("class_name")
        where = (
            (part.get("config") or {}).get("name") if isinstance(part.get("config"), dict) else None
        )
        if name in ("Lambda", "__lambda__"):
            raise UntrustedModel(
                f"{path} has a Lambda layer{f' {where!r}' if where else ''}, which is code",
                hint="replace it by a layer, or add --trust if you know who wrote the file",
            )
        module = part.get("module")
        if isinstance(module, str) and not _is_keras(module):
            raise UntrustedModel(
                f"{path} has an object of class {module}.{name}, which would be imported and run",
                hint="add --trust if you know who wrote the file",
            )
        registered = part.get("registered_name")
        if module is None and registered and registered != name:
            _refuse_unregistered(path, registered)


def _refuse_unregistered(path: Path, name: str) -> None:
    if keras.saving.get_registered_object(name) is None and not name.startswith("keras"):
        raise UnsupportedModel(
            f"{path} uses the class {name}, which is not registered",
            hint="import the module that registers it, and use kexport from Python",
        )


def _is_keras(module: str) -> bool:
    return module in ("builtins",) or module.split(".")[0] == "keras"


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a configuration, outermost first."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
