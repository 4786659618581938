"""File hashes: check a bundle's files against the list, sizes and SHA-256 in its manifest.

A file that the manifest does not list is refused in any folder, because a program may load it by
its name, as Python does modules. These are allowed:

- manifest.json itself, and the files that building an engine writes (`engine_record.FILES`), which
  engine.json describes;
- `runtime/__pycache__/NAME.*.pyc` for a listed `runtime/NAME.py`: Python wrote these when the
  run.py of a former version ran. The run.py of this version neither reads nor writes bytecode;
- folders without files.

A symbolic link counts as a file of its own name, and is not followed to find other files. So a
listed file may be a link to another listed file, but a file inside a linked folder is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from .engine_record import FILES
from .errors import BundleRefused
from .manifest import EXPORT_AGAIN, NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .manifest import Manifest

LISTED_ONLY = (
    "remove it, or copy the bundle again whole; a bundle holds only what its manifest lists"
)

_BYTECODE = re.compile(r"(runtime/)__pycache__/([^./]+)\.[^/]+\.pyc")


def check_files(bundle: Path, manifest: Manifest) -> int:
    """Compare every file that the manifest lists with its size and SHA-256; return their number.

    Sizes come first, since they cost nothing, then files that are not listed. Raises BundleRefused
    that names the first file that is missing, that is not a plain file, that leads out of the
    bundle through a link, that is not listed, or that differs.
    """
    root = os.path.realpath(bundle)
    paths = {name: _inside(root, name) for name in manifest.files}
    for name, entry in manifest.files.items():
        _check_size(paths[name], name, entry.bytes)
    unlisted = [name for name in _names(root) if not _belongs(name, manifest)]
    if unlisted:
        first = min(unlisted, key=os.fsencode)
        raise BundleRefused(f"{first} is in the bundle, but not in {NAME}", hint=LISTED_ONLY)
    for name, entry in manifest.files.items():
        if _sha256(paths[name], name) != entry.sha256:
            raise BundleRefused(f"{name} does not match its SHA-256", hint=EXPORT_AGAIN)
    return len(paths)


def _belongs(name: str, manifest: Manifest) -> bool:
    if name in manifest.files or name == NAME or name in FILES:
        return True
    bytecode = _BYTECODE.fullmatch(name)
    return bytecode is not None and f"{bytecode[1]}{bytecode[2]}.py" in manifest.files


def _names(root: str) -> Iterator[str]:
    """Yield every file and link below a folder, as a relative path with forward slashes."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, *folder.split("/"))) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{folder}{entry.name}/")
                    else:
                        yield f"{folder}{entry.name}"
        except OSError as error:
            place = folder.rstrip("/") or "the bundle"
            raise BundleRefused(f"{place} cannot be read: {error.strerror or error}") from error


def _inside(root: str, name: str) -> str:
    path = os.path.realpath(os.path.join(root, *name.split("/")))
    if not path.startswith(os.path.join(root, "")):
        raise BundleRefused(f"{name} leads out of the bundle", hint=EXPORT_AGAIN)
    return path


def _check_size(path: str, name: str, size: int) -> None:
    if not os.path.exists(path):
        raise BundleRefused(f"{name} is missing from the bundle", hint=EXPORT_AGAIN)
    if not os.path.isfile(path):
        raise BundleRefused(f"{name} is not a plain file", hint=EXPORT_AGAIN)
    found = os.path.getsize(path)
    if found != size:
        raise BundleRefused(
            f"{name} has {found} bytes, and the manifest says {size}", hint=EXPORT_AGAIN
        )


def _sha256(path: str, name: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise BundleRefused(f"{name} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
