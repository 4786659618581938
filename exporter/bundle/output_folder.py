"""Output folders: whether a path is free, and a staging folder beside it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kexport.bundle.publish import refuse
from kexport.bundle.stage import NEW, clear_dead, longest_name, open_stage
from kexport.errors import OutputExists, OutputFailed

_HINTS = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose a path whose parents are folders",
}


def refuse_existing(output: Path, *, force: bool) -> None:
    """Refuse an output path before any work is done.

    The leftovers of crashed exports beside it are removed first, because a crash may have happened
    while a bundle was replaced, and the bundle is then restored.

    Raises:
        OutputExists: `output` exists and `force` is not given, or it is not a bundle that may be
            replaced.
        OutputFailed: no folder can be created at that path, or it cannot be inspected.
    """
    if output.name in ("", ".."):
        raise OutputExists(
            f"{output} exists already, and is not replaced under this name",
            hint="choose an `output` that ends with the name of a folder",
        )
    with failing(output):
        with contextlib.suppress(FileNotFoundError):
            longest_name(output).lstat()
        clear_dead(output.parent)
        with contextlib.suppress(FileNotFoundError):
            if os.path.lexists(output):
                refuse(output, force=force)


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """Create a folder beside `output` to write into; it is removed afterwards unless published.

    Raises:
        OutputFailed: the folder cannot be created or written (no permission, disk full).
    """
    with failing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        clear_dead(output.parent)
        stage = open_stage(output)
        try:
            yield stage.folder / NEW
        finally:
            stage.close()


@contextmanager
def failing(output: Path) -> Iterator[None]:
    """Turn an OSError into OutputFailed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "free some space, or choose another folder")
        raise OutputFailed(
            f"{output} cannot be written: {reason[:1].lower()}{reason[1:]}",
            hint=f"{hint}; nothing was changed",
        ) from error
