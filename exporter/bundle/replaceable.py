"""Replaceable folders: only the files of a bundle may be replaced, and only those are removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from kexport.runtime.engine_record import FILES as ENGINE_FILES
from kexport.runtime.manifest import MODEL
from kexport.runtime.manifest import NAME as MANIFEST
from kexport.runtime.manifest_schema import FILE_NAME

_BUILT = frozenset(name for file in ENGINE_FILES for name in (file, f"{file}.part"))
"""Files that building an engine writes into a bundle, finished or not."""

_CACHE = "__pycache__"


def obstacle(folder: Path) -> str | None:
    """Return why a folder must not be replaced; None if it is empty, or a bundle and nothing else.

    A bundle of any version is identified by its manifest; its files may be damaged or missing.

    Raises:
        OSError: the folder cannot be read; FileNotFoundError if it does not exist any more.
    """
    mode = folder.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "is a link"
    if not stat.S_ISDIR(mode):
        return "is not a folder"
    listed = _listed(folder)
    if listed is None:
        return "is not a bundle" if any(folder.iterdir()) else None
    for path, is_folder in _contents(folder):
        if not _is_of_bundle(path, listed, is_folder=is_folder):
            return f"holds {path}, which is not a file of the bundle"
    return None


def remove(folder: Path) -> None:
    """Remove a bundle's files from a folder, and the folder if nothing else is in it.

    The manifest is removed last, and kept if anything else is left.
    """
    with contextlib.suppress(OSError):
        listed = _listed(folder)
        if listed is not None:
            for path, is_folder in reversed(list(_contents(folder))):
                if _is_of_bundle(path, listed, is_folder=is_folder) and str(path) != MANIFEST:
                    _remove_one(folder / path, is_folder=is_folder)
            if [path.name for path in folder.iterdir()] == [MANIFEST]:
                (folder / MANIFEST).unlink()
        folder.rmdir()


def _remove_one(path: Path, *, is_folder: bool) -> None:
    with contextlib.suppress(OSError):
        if is_folder:
            path.rmdir()
        else:
            path.unlink()


def _listed(folder: Path) -> frozenset[str] | None:
    """Return the names of the files that a bundle's manifest lists; None without a manifest."""
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return frozenset(manifest["files"]) if _is_manifest(manifest) else None


def _is_manifest(data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("files"), dict):
        return False
    return (
        type(data.get("schema")) is int
        and isinstance(data.get("kexport"), str)
        and MODEL in data["files"]
        and all(re.match(FILE_NAME, name) for name in data["files"])
    )


def _contents(folder: Path) -> Iterator[tuple[PurePosixPath, bool]]:
    """Yield the relative path of everything in a folder, and whether it is a folder.

    Parents come before their content.
    """
    waiting = [PurePosixPath()]
    while waiting:
        parent = waiting.pop()
        with os.scandir(folder / parent) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            yield parent / entry.name, is_folder
            if is_folder:
                waiting.append(parent / entry.name)


def _is_of_bundle(path: PurePosixPath, listed: frozenset[str], *, is_folder: bool) -> bool:
    if is_folder:
        parent = path.parent if path.name == _CACHE else path
        return any(parent in PurePosixPath(name).parents for name in listed)
    if path.parent.name == _CACHE and path.suffix == ".pyc":
        source = path.parent.parent / f"{path.name.partition('.')[0]}.py"
        return str(source) in listed
    return str(path) == MANIFEST or str(path) in listed | _BUILT
