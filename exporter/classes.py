"""The classes of a folder that has a subfolder for each."""

from __future__ import annotations

from pathlib import Path

from kexport.errors import BadArgument


def class_folders(path: Path) -> list[str]:
    """The subfolders' names as `image_dataset_from_directory(labels="inferred")` has them.

    Keras sorts them by code point and leaves out what begins with a dot or is no folder
    (keras.src.utils.dataset_utils.index_directory).

    Raises:
        BadArgument: there is no such folder, it cannot be read, or it has no subfolders.
    """
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise BadArgument(f"{path} {what}", hint="give a folder with a subfolder for each class")
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    except OSError as error:
        raise BadArgument(
            f"the folder {path} cannot be read: {error.strerror or error}",
            hint="give yourself the right to list it",
        ) from error
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise BadArgument(
            f"the folder {path} has no subfolders",
            hint="give the folder that holds one subfolder for each class",
        )
    return names
