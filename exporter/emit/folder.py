"""Publishes a folder whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kexport.errors import OutputExists, OutputFailed


def refuse_existing(output: Path, *, force: bool) -> None:
    """Say early that a folder is in the way.

    Raises:
        OutputExists: `output` is there and `force` is not given, or it is no bundle that may be
            replaced.
    """
    if not output.exists() and not output.is_symlink():
        return
    if not force:
        raise OutputExists(
            f"{output} is there already", hint="choose another --output, or replace it with --force"
        )
    if not output.is_dir() or (not (output / "manifest.json").is_file() and any(output.iterdir())):
        raise OutputExists(
            f"{output} is not a bundle, so --force does not replace it",
            hint="choose another --output, or remove it yourself",
        )


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write into; it is gone afterwards unless it was published.

    Raises:
        OutputFailed: the folder cannot be made or written (no permission, disk full).
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
        work.chmod(0o777 & ~_umask())
    except OSError as error:
        raise _failed(output, error) from error
    try:
        yield work
    except OSError as error:
        raise _failed(output, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def publish(work: Path, output: Path) -> None:
    """Let the finished folder `work` stand at `output`; what stood there goes only then."""
    old = work.with_suffix(".old")
    if output.exists():
        os.replace(output, old)
    try:
        os.replace(work, output)
    except OSError:
        if old.exists():
            os.replace(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _failed(output: Path, error: OSError) -> OutputFailed:
    reason = error.strerror or str(error)
    return OutputFailed(
        f"{output} cannot be written: {reason[:1].lower()}{reason[1:]}",
        hint="make room, or choose another place; nothing was changed",
    )
