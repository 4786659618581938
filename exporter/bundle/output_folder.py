"""The place of an output: whether it is free, and a folder beside it to make the output in."""

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
    errno.ENOTDIR: "choose a place whose parents are folders",
}


def refuse_existing(output: Path, *, force: bool) -> None:
    """Say before any work that an output cannot stand at a place.

    What dead exports left beside it is cleared first, since one may have died while it replaced
    the bundle that is in the way.

    Raises:
        OutputExists: `output` is there and `force` is not given, or it is no bundle that may be
            replaced.
        OutputFailed: no folder can be at that place, or it cannot be looked at.
    """
    if output.name in ("", ".."):
        raise OutputExists(
            f"{output} is there already, and is not replaced under this name",
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
    """A folder beside `output` to write into; it is gone afterwards unless it was published.

    Raises:
        OutputFailed: the folder cannot be made or written (no permission, disk full).
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
    """Turn what the system says into OutputFailed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "make room, or choose another place")
        raise OutputFailed(
            f"{output} cannot be written: {reason[:1].lower()}{reason[1:]}",
            hint=f"{hint}; nothing was changed",
        ) from error
