"""Load a model file that Keras 2 wrote."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from kexport.errors import KexportError, UnsupportedModel, one_line
from kexport.source.keras2 import weights_archive, weights_h5
from kexport.source.keras2.attributes import text_of
from kexport.source.keras2.graph import build
from kexport.source.keras2.layer_config import Permit
from kexport.source.keras2.refusal import HINT


def version_of(path: Path) -> str | None:
    """Return the version of Keras 2 that wrote a readable model file; None if another did.

    Files of Keras below 2.0 do not tell it, and are treated as its own.
    """
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            version = str(dict(json.loads(archive.read("metadata.json"))).get("keras_version"))
    else:
        with h5py.File(path, "r") as file:
            version = text_of(file.attrs.get("keras_version", "1"))
    return version if version.split(".")[0] in ("1", "2") else None


def load(path: Path, config: Any, version: str, *, permit: Permit) -> keras.Model:
    """Build the model in Keras 3, with the weights of the file.

    Args:
        path: the file.
        config: its configuration, from JSON.
        version: the version that wrote it.
        permit: raises for what the file may not name; called with each layer before it is made.

    Raises:
        UnsupportedModel: a layer, an argument or a function that Keras 3 has no equal of, or
            weights that do not fit the layers.
        KexportError: as `permit` raises.
    """
    try:
        built = build(config, permit)
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(content, "r") as file:
                weights_archive.fill(built, file)
        else:
            with h5py.File(path, "r") as file:
                weights_h5.fill(built, file)
    except KexportError as error:
        if error.hint != HINT:
            raise
        message = f"{path} was written by Keras {version}, and {error}"
        raise UnsupportedModel(message, hint=HINT) from error
    except Exception as error:
        raise UnsupportedModel(
            f"{path}, written by Keras {version}, cannot be built in Keras {keras.__version__}: "
            f"{one_line(error)}",
            hint=HINT,
        ) from error
    return built.model
