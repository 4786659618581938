"""Two renames that never overwrite: one that fails where something is, and one that swaps.

Linux has both as one step, renameat2 (man 2 rename). Where the system or the file system has not,
`move` is rename, which POSIX lets replace nothing but an empty folder, and `swap` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_NO_REPLACE, _EXCHANGE = 1, 2
_HERE = -100  # AT_FDCWD
_MISSING = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
"""What a kernel, a file system or a container's filter answers that does not know the call."""


class Unsupported(Exception):
    """Swapping in one step is not possible here."""


def move(source: Path, target: Path) -> None:
    """Rename a folder.

    Raises:
        FileExistsError: something is at `target`.
        OSError: the folder cannot be renamed.
    """
    try:
        _renameat2(source, target, _NO_REPLACE)
    except Unsupported:
        _move_without(source, target)


def swap(first: Path, second: Path) -> None:
    """Let two folders change places.

    Raises:
        Unsupported: the system or the file system cannot.
        OSError: they cannot be renamed; FileNotFoundError where one is missing.
    """
    _renameat2(first, second, _EXCHANGE)


def _move_without(source: Path, target: Path) -> None:
    taken = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if os.path.lexists(target):
        raise taken
    try:
        os.rename(source, target)
    except OSError as error:
        raise (taken if os.path.lexists(target) else error) from error


def _renameat2(source: Path, target: Path, flags: int) -> None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError) as error:
        raise Unsupported from error
    if call(_HERE, os.fsencode(source), _HERE, os.fsencode(target), flags) == 0:
        return
    number = ctypes.get_errno()
    if number in _MISSING:
        raise Unsupported
    raise OSError(number, os.strerror(number), str(target))
