"""A tensor on many pictures, kept in a file so that memory holds one batch of it."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from kexport.errors import OutputFailed

Array = np.ndarray[Any, Any]


class Parts(Sequence[Array]):
    """Arrays in a temporary file that goes when this does; each is read anew from it.

    Raises:
        OutputFailed: the file cannot be written.
    """

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long
        except OSError as error:
            raise _failed(error) from error
        weakref.finalize(self, self._file.close)
        self._held: list[tuple[int, np.dtype[Any], tuple[int, ...]]] = []
        self._end = 0

    def append(self, array: Array) -> None:
        """Put an array behind the others."""
        try:
            self._file.seek(self._end)
            array.tofile(self._file)
        except OSError as error:
            raise _failed(error) from error
        self._held.append((self._end, array.dtype, array.shape))
        self._end += array.nbytes

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        start, dtype, shape = self._held[index]
        self._file.seek(start)
        return np.fromfile(self._file, dtype, int(np.prod(shape))).reshape(shape)


def _failed(error: OSError) -> OutputFailed:
    return OutputFailed(
        f"what the layers make of the calibration pictures cannot be written: {error.strerror}",
        hint="make room in the folder for temporary files, or name another with TMPDIR",
    )
