"""Hold a bundle's files to the sizes and hashes that its manifest states."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from .errors import BundleRefused
from .manifest import EXPORT_AGAIN

if TYPE_CHECKING:
    from pathlib import Path

    from .manifest import Manifest


def check_files(bundle: Path, manifest: Manifest) -> int:
    """Compare every file the manifest lists with its size and SHA-256; return how many there are.

    Sizes come first, since they cost nothing. Raises BundleRefused naming the first file that is
    missing, that is not a plain file, that leads out of the bundle through a link, or that differs.
    """
    root = os.path.realpath(bundle)
    paths = {name: _inside(root, name) for name in manifest.files}
    for name, entry in manifest.files.items():
        _check_size(paths[name], name, entry.bytes)
    for name, entry in manifest.files.items():
        if _sha256(paths[name], name) != entry.sha256:
            raise BundleRefused(f"{name} does not match its SHA-256", hint=EXPORT_AGAIN)
    return len(paths)


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
