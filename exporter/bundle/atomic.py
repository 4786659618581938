"""Atomic renames that never overwrite: one fails if the target exists, one swaps two folders.

Linux has both as one system call, renameat2 (man 2 rename). If the system or the file system does
not support it, `move` uses rename, which by POSIX replaces only an empty folder, and `swap` raises
Unsupported.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_NO_REPLACE, _EXCHANGE = 1, 2
_HERE = -100  # AT_FDCWD
_MISSING = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
"""Errors of a kernel, a file system or a container's seccomp filter without renameat2."""


class Unsupported(Exception):
    """Swapping atomically is not possible here."""


def move(source: Path, target: Path) -> None:
    """Rename a folder.

    Raises:
        FileExistsError: `target` exists.
        OSError: the folder cannot be renamed.
    """
    try:
        _renameat2(source, target, _NO_REPLACE)
    except Unsupported:
        _move_without(source, target)


def swap(first: Path, second: Path) -> None:
    """Exchange two folders.

    Raises:
        Unsupported: the system or the file system cannot exchange them atomically.
        OSError: they cannot be renamed; FileNotFoundError if one is missing.
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
