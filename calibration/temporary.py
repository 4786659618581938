"""What is said where the folder for temporary files cannot take more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kexport.errors import OutputFailed


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Write temporary files in the block.

    Raises:
        OutputFailed: `what` cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputFailed(
            f"{what} cannot be written: {error.strerror or error}",
            hint="make room in the folder for temporary files, or name another with TMPDIR",
        ) from error
