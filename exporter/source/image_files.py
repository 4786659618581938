"""Image files below a folder."""

from __future__ import annotations

import os
from pathlib import Path

from kexport.errors import BadArgument

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of image files, in either case; other files are ignored."""


def image_files(folder: Path) -> list[str]:
    """List the image files below a folder as sorted relative paths with /, without hidden ones.

    Like Keras, this does not follow links to folders.

    Raises:
        BadArgument: a folder cannot be read.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                found.append(Path(place, name).relative_to(folder).as_posix())
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise BadArgument(
        f"the folder {error.filename} cannot be read: {error.strerror}",
        hint="give yourself the right to read it",
    ) from error
