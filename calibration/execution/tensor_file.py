"""A tensor on many images, kept in a file so that memory holds one batch of it."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kexport.arrays import Array
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


_MADE = "what the layers make of the calibration images"


class TensorFile(Sequence[Array]):
    """Arrays in a temporary file that goes when this does; each is read anew from it.

    Raises:
        OutputFailed: the file cannot be written.
    """

    def __init__(self) -> None:
        with writing(_MADE):
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long
        weakref.finalize(self, self._file.close)
        self._held: list[tuple[int, np.dtype[Any], tuple[int, ...]]] = []
        self._end = 0

    def append(self, array: Array) -> None:
        """Put an array behind the others."""
        left = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        with writing(_MADE):
            self._file.seek(self._end)
            while left:  # ndarray.tofile says nothing where its last bytes find no room
                left = left[self._file.write(left) :]
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
