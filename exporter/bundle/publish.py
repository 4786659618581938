"""Publishing: move a finished folder to its output path in one step, replacing only a bundle."""

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
    """Move the finished folder `work`, created by `staging`, to `output`.

    With `force`, an existing bundle is moved into the staging folder and removed with it. Without,
    or if `output` is anything else, it is left unchanged.

    Raises:
        OutputExists: `output` exists and is not replaced.
        OSError: the folder cannot be written or renamed; `output` is unchanged.
    """
    flush(work)
    while not _moved(work, output, force=force):
        pass  # another process published or removed something meanwhile
    flush_names(output.parent, work.parent)


def refuse(output: Path, *, force: bool) -> None:
    """Raise OutputExists unless an existing path may be replaced.

    Raises:
        OutputExists: `force` is not given, or the path is not a bundle, or has other files in it.
        OSError: the path cannot be inspected; FileNotFoundError if it does not exist any more.
    """
    if not force:
        raise OutputExists(
            f"{output} exists already", hint="choose another `output`, or replace it with `force`"
        )
    reason = obstacle(output)
    if reason is not None:
        raise _refused(output, reason)


def _moved(work: Path, output: Path, *, force: bool) -> bool:
    """Try once; return False if what was found at `output` has gone meanwhile."""
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
    """Replace `output` in two steps: move it away, then move `work` there.

    If the second step does not happen, the bundle is restored when the stage is closed, or by the
    next export.
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
    """Remove `old` if another bundle has taken its path; keep it if something else has."""
    if obstacle(output) is not None:
        raise OutputExists(
            f"{output} was created by something else during the export",
            hint=f"the bundle that was there before is {old}",
        )
    remove(old)


def _refused(output: Path, reason: str) -> OutputExists:
    return OutputExists(
        f"{output} {reason}, so `force` does not replace it",
        hint="choose another `output`, or move it away yourself",
    )
