"""Staging folder beside an output, for the bundle before it is published and the one it replaces.

    .<name>.<kernel>-<random>.part/    lock, new/, old/

`lock` is locked as long as the process lives, so that a later export recognises the leftovers of a
crashed one; its content identifies `new` by its inode. File locks may not work across machines, so
the folders of another kernel are removed only once they are a week old.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kexport.bundle.atomic import move
from kexport.bundle.replaceable import remove

if sys.platform != "win32":
    import fcntl

LOCK, NEW, OLD = "lock", "new", "old"
WEEK = 7 * 24 * 3600.0
_SUFFIX = ".part"
_NAME = re.compile(r"\.(?P<name>.+)\.(?P<kernel>[0-9a-f]{8})-[a-z0-9_]{8}\.part", re.DOTALL)
_RECORD = re.compile(rb"kexport (\d+)\n")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Stage:
    """A staging folder; `made` is the inode of its `new`, which stays the same when it is moved."""

    folder: Path
    output: Path
    made: int
    lock: int

    def close(self) -> None:
        """Remove the bundle that was not published, or the one that was replaced."""
        restore(self.folder, self.output, self.made)
        clear(self.folder, self.made)
        os.close(self.lock)


def open_stage(output: Path) -> Stage:
    """Create and lock a staging folder for an output, with an empty `new`.

    Raises:
        OSError: it cannot be created.
    """
    prefix = f".{output.name}.{_kernel()}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=output.parent))
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        (folder / NEW).mkdir()
        made = (folder / NEW).stat().st_ino
        if _lock(lock, wait=True):
            os.write(lock, f"kexport {made}\n".encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Stage(folder, output, made, lock)


def longest_name(output: Path) -> Path:
    """Return a path as long as the longest that is created beside an output."""
    return output.with_name(f".{output.name}.{_kernel()}-{'_' * 8}{_SUFFIX}")


def clear_dead(parent: Path) -> None:
    """Remove the leftovers of dead processes in a folder, and restore bundles they moved away."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        found = [(entry, _NAME.fullmatch(entry.name)) for entry in entries]
        for entry, name in found:
            if name is not None and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _clear_if_dead(Path(entry.path), name["name"], name["kernel"])


def restore(folder: Path, output: Path, made: int) -> None:
    """Move `old` back to `output`, if `new` has not been published in its place."""
    with contextlib.suppress(OSError):
        if _inode(folder / NEW) == made and _inode(folder / OLD) is not None:
            move(folder / OLD, output)


def clear(folder: Path, made: int) -> None:
    """Remove `new`, the bundle that it replaced, and then the folder."""
    new, old = folder / NEW, folder / OLD
    if _inode(new) == made:
        if _inode(old) is not None:
            return  # `old` is the only copy of the former output, whose path is taken
        shutil.rmtree(new, ignore_errors=True)
    remove(new)
    remove(old)
    with contextlib.suppress(OSError):
        if _inode(new) is None and _inode(old) is None:
            (folder / LOCK).unlink()
            folder.rmdir()


def _clear_if_dead(folder: Path, name: str, kernel: str) -> None:
    lock = os.open(folder / LOCK, os.O_RDWR)
    try:
        if not _lock(lock, wait=False):
            return
        content = os.read(lock, 64)
        record = _RECORD.fullmatch(content)
        if content and record is None:
            return
        made = 0 if record is None else int(record[1])
        restore(folder, folder.with_name(name), made)
        known = record is not None and kernel == _kernel()
        if known or time.time() - folder.stat().st_mtime > WEEK:
            clear(folder, made)
    finally:
        os.close(lock)


def _lock(file: int, *, wait: bool) -> bool:
    """Lock a file; return False if another process holds it, or the file system has no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _kernel() -> str:
    """Return eight digits that identify the running kernel, within which file locks work."""
    try:
        known = _BOOT.read_text(encoding="ascii")
    except OSError:
        known = platform.node()
    return hashlib.sha256(known.encode()).hexdigest()[:8]
