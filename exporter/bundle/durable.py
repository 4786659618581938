"""Durable writes: flush files to the disk, so that they are complete even after a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Flush a folder and everything in it to the disk.

    Raises:
        OSError: a file or folder cannot be flushed.
    """
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(parent, name))
        _sync_folder(Path(parent))


def flush_names(*folders: Path) -> None:
    """Flush the entries of folders to the disk; errors are ignored."""
    for folder in folders:
        with contextlib.suppress(OSError):
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as error:
        if os.name != "nt" and error.errno != errno.EINVAL:  # some cannot flush folders
            raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
