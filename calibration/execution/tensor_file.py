"""Tensor files: the values of a tensor on many images, with few of them in memory."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kexport.arrays import Array
from kexport.errors import OutputFailed


@contextlib.contextmanager
def writing_temporary_files(what: str) -> Iterator[None]:
    """Turn errors of writing `what`, such as a full temporary directory, into OutputFailed."""
    try:
        yield
    except OSError as error:
        raise OutputFailed(
            f"{what} cannot be written: {error.strerror or error}",
            hint="free space in the folder for temporary files, or choose another with TMPDIR",
        ) from error


_CONTENT = "the intermediate tensors of the calibration images"


IN_MEMORY_BYTES = 1 << 24
"""Bytes of each tensor that stay in memory. Few tensors are alive at a time in most graphs, and
those of deep layers, which are most, so cost no file access."""


class TensorFile(Sequence[Array]):
    """Arrays, of which `IN_MEMORY_BYTES` are in memory and the others in a temporary file.

    The file is deleted with this object. Several threads may read the arrays, which must not be
    changed.

    Raises:
        OutputFailed: the file cannot be written.
    """

    def __init__(self) -> None:
        with writing_temporary_files(_CONTENT):
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._held: list[Array | tuple[int, np.dtype[Any], tuple[int, ...]]] = []
        self._left, self._end, self._position = IN_MEMORY_BYTES, 0, threading.Lock()

    def append(self, array: Array) -> None:
        """Append an array."""
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            self._held.append(array)
            return
        left = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        with self._position, writing_temporary_files(_CONTENT):
            self._file.seek(self._end)
            while left:  # ndarray.tofile ignores that the disk is full for its last bytes
                left = left[self._file.write(left) :]
        self._held.append((self._end, array.dtype, array.shape))
        self._end += array.nbytes

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        found = self._held[index]
        if not isinstance(found, tuple):
            return found
        start, dtype, shape = found
        with self._position:
            self._file.seek(start)
            return np.fromfile(self._file, dtype, int(np.prod(shape))).reshape(shape)
