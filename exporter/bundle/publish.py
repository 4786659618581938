"""Publishes a finished folder in one step, which replaces nothing but a bundle."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kexport.bundle.atomic import Unsupported, move, swap
from kexport.bundle.durable import flush, flush_names
from kexport.bundle.replaceable import obstacle, remove
from kexport.bundle.stage import OLD
from kexport.errors import OutputExists


def publish(work: Path, output: Path, *, force: bool = False) -> None:
    """Let the finished folder `work`, made by `staging`, stand at `output`.

    With `force` a bundle that is there goes to where `work` was, or beside it, and is removed with
    that. Without, or where anything else is there, `output` stays as it is.

    Raises:
        OutputExists: something is at `output` that is not replaced.
        OSError: the folder cannot be written or renamed; `output` is as it was.
    """
    flush(work)
    while not _stands(work, output, force=force):
        pass  # another process published or removed something meanwhile
    flush_names(output.parent, work.parent)


def refuse(output: Path, *, force: bool) -> None:
    """Refuse to replace what is at a path.

    Raises:
        OutputExists: `force` is not given, or it is no bundle, or holds more than one.
        OSError: it cannot be looked at; FileNotFoundError where it is not there any more.
    """
    if not force:
        raise OutputExists(
            f"{output} is there already",
            hint="choose another `output`, or replace it with `force=True`",
        )
    reason = obstacle(output)
    if reason is not None:
        raise _refused(output, reason)


def _stands(work: Path, output: Path, *, force: bool) -> bool:
    """Try once; False where what was seen at `output` is there no more."""
    try:
        move(work, output)
    except FileExistsError:
        try:
            refuse(output, force=force)
            return _replaced(work, output)
        except FileNotFoundError:
            return False
    return True


def _replaced(work: Path, output: Path) -> bool:
    try:
        swap(work, output)
    except Unsupported:
        return _replaced_in_two(work, output)
    try:
        reason = obstacle(work)
        if reason is not None:
            raise _refused(output, reason)
    except (OutputExists, OSError):
        swap(work, output)
        raise
    return True


def _replaced_in_two(work: Path, output: Path) -> bool:
    """Take away what is there, and then let `work` stand there.

    Where the second step does not come, what was taken away is put back as the stage is closed, or
    by the next export.
    """
    old = work.with_name(OLD)
    os.rename(output, old)
    reason = obstacle(old)
    if reason is not None:
        raise _refused(output, reason)
    while True:
        try:
            move(work, output)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # it is gone again
                _give_up(old, output)
                return False
        else:
            return True


def _give_up(old: Path, output: Path) -> None:
    """Remove `old`, which another bundle has replaced; anything else must not cost it."""
    if obstacle(output) is not None:
        raise OutputExists(
            f"{output} came to be during the export",
            hint=f"the bundle that was there before is {old}",
        )
    remove(old)


def _refused(output: Path, reason: str) -> OutputExists:
    return OutputExists(
        f"{output} {reason}, so `force` does not replace it",
        hint="choose another `output`, or move it away yourself",
    )
