"""Lets files reach the disk, so that a power cut after a rename finds them whole."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Write all that is in a folder to the disk.

    Raises:
        OSError: the disk does not take it.
    """
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(parent, name))
        _sync_folder(Path(parent))


def flush_names(*folders: Path) -> None:
    """Write the names in folders to the disk, as far as it takes them."""
    for folder in folders:
        with contextlib.suppress(OSError):
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as error:
        if os.name != "nt" and error.errno != errno.EINVAL:  # no folder is opened, or synchronised
            raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
