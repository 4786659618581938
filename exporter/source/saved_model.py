"""Model files, .keras and .h5, loaded without running code that they carry."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras

from kexport.errors import UnreadableModel, UnsupportedModel, UntrustedModel, one_line
from kexport.source import allowlist, keras2
from kexport.source.allowlist import MARKS, Entry
from kexport.source.model_name import HINT, refuse_no_file

CARRIES_CODE = frozenset(
    {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
)
"""Classes whose configuration holds marshalled Python, a pickle, or the path of a program."""

_REGISTER = "register it with keras.saving.register_keras_serializable and use kexport from Python"
_TRUST = "add `recipe.trust=True` if you know who wrote the file"
_DAMAGES = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)

LARGEST_CONFIG = 1 << 28
"""Bytes that a configuration may unpack to, over 100 times as many as the 2 MB of the largest
Application."""


def load_file(path: Path, *, trust: bool) -> keras.Model:
    """Load a whole model for inference.

    Its configuration is read first, without Keras, and may only name classes and functions on the
    `allowlist`, unless `trust` is set. Those that are not Keras' own are never imported; a user has
    to register them before.

    Raises:
        UnreadableModel: the file is missing, truncated, or not a whole Keras model.
        UntrustedModel: it names something that can run code or open other files.
        UnsupportedModel: it names a class or function that is neither Keras' nor registered.
    """
    config, version = _contents(path)
    used = {**config, "compile_config": None} if isinstance(config, dict) else config
    if version is not None:
        permit = partial(_permit, path, legacy=False, trust=trust)
        return keras2.load(path, used, version, permit=permit)
    _permit(path, used, legacy=path.suffix != ".keras", trust=trust)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        reason = one_line(error)
        if reason.startswith("Unknown layer"):  # a legacy .h5 file gives no module of a class
            raise UnsupportedModel(
                f"{path} cannot be loaded: {reason.partition('.')[0]}",
                hint=f"save the model as .keras, or {_REGISTER}",
            ) from error
        raise UnreadableModel(f"{path} cannot be loaded: {reason}", hint=HINT) from error


def _permit(path: Path, config: Any, *, legacy: bool, trust: bool) -> None:
    """Refuse what a configuration of a file may not name."""
    for entry in allowlist.entries(config, legacy=legacy):
        if not trust:
            _refuse_untrusted(path, entry)
        _refuse_unregistered(path, entry)


def _contents(path: Path) -> tuple[Any, str | None]:
    """Read the model's configuration and the version of Keras 2, if one wrote it, without Keras."""
    refuse_no_file(path)
    try:
        text = _keras_config(path) if path.suffix == ".keras" else _h5_config(path)
        return json.loads(text), keras2.version_of(path)
    except _DAMAGES as error:
        kind = "a .keras archive" if path.suffix == ".keras" else "an HDF5 model"
        raise UnreadableModel(
            f"{path} is damaged, or is not {kind}: {one_line(error)}", hint=HINT
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
            hint=f"name the Application that they belong to, with `recipe.weights={str(path)!r}`",
        )
    return text


def _refuse_untrusted(path: Path, entry: Entry) -> None:
    """Refuse an entry that can run code, or open files other than the model file."""
    if entry.name in CARRIES_CODE:
        raise UntrustedModel(
            f"{_subject(entry)} in {path} carries code that would be run",
            hint=f"replace it by a layer, or {_TRUST}",
        )
    if entry.is_of_keras and not entry.is_allowed:
        raise UntrustedModel(
            f"{path} names {_shown(entry)}{_of_layer(entry)}, which is not on the allow-list: it "
            "could run code, or open other files",
            hint=_TRUST,
        )
    inner = entry.part.get("config")
    if not isinstance(inner, dict):
        return
    if isinstance(inner.get("vocabulary"), str):
        raise UntrustedModel(
            f"{path} names another file as the vocabulary{_of_layer(entry)}", hint=_TRUST
        )
    for key, value in inner.items():
        if entry.legacy and key != "name" and allowlist.is_legacy_function(value):
            raise UntrustedModel(
                f"{path} names the function {value!r} as the {key}{_of_layer(entry)}", hint=_TRUST
            )


def _refuse_unregistered(path: Path, entry: Entry) -> None:
    """Refuse a class or function that is neither Keras' nor registered."""
    bare = "module" not in entry.part  # only the loader can find its module
    if bare or entry.name in MARKS or entry.is_of_keras or entry.is_registered:
        return
    raise UnsupportedModel(
        f"the custom {'function' if entry.is_function else 'class'} '{entry.name}'"
        f"{_of_layer(entry)} in {path} is not registered",
        hint=_REGISTER,
    )


def _of_layer(entry: Entry) -> str:
    return f" of layer {entry.layer!r}" if entry.layer else ""


def _shown(entry: Entry) -> str:
    name = textwrap.shorten(str(entry.name), 60)
    return f"{entry.module}.{name}" if entry.module else name


def _subject(entry: Entry) -> str:
    kind = "a lambda" if entry.name == "__lambda__" else f"a {entry.name} layer"
    return f"layer '{entry.layer}', {kind}," if entry.layer else kind
