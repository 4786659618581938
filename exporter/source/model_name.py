"""What a model's name means: a Keras Application, or a file; known without loading Keras."""

from __future__ import annotations

import re
from pathlib import Path

from kexport import zoo
from kexport.errors import UnknownModel, UnreadableModel
from kexport.zoo import Application

FILE_KINDS = (".keras", ".h5", ".hdf5")
HINT = "give a whole-model file that keras.Model.save wrote, ending in .keras or .h5"


def find(model: str | Path) -> Application | Path:
    """Return the Application of that name, or the path of a model file.

    Raises:
        UnknownModel: neither an Application nor a file has that name.
    """
    path = Path(model)
    if isinstance(model, str) and path.suffix not in FILE_KINDS and path.name == model:
        try:
            return zoo.find(path.name)
        except UnknownModel:
            if not path.name or not path.exists():
                raise
    return path


def name_of(found: Application | Path) -> str:
    """Return the name that the bundle's model has."""
    return found.name if isinstance(found, Application) else cleaned(found.stem)


def cleaned(name: str) -> str:
    """Return a name with nothing but letters, digits and a few signs."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name) or "model"


def refuse_no_file(path: Path) -> None:
    """Refuse a path at which there can be no model file.

    Raises:
        UnreadableModel: it is a folder, does not exist, is empty, or has another ending.
    """
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
        empty = path.stat().st_size == 0
    except OSError as error:
        raise UnreadableModel(f"{path} cannot be read: {error.strerror}", hint=HINT) from error
    if empty:
        raise UnreadableModel(f"{path} is empty", hint="save or copy it again")
