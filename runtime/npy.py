"""One array as numpy.save writes it, read without evaluating its header.

numpy.lib.format: a mark, a version, the length of a header, and the header as a Python dict.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARK = b"\x93NUMPY"
_DTYPE = re.compile(rb"'(\|b1|\|[ui]1|<[ui][248]|<f[248])'")
_SIZE = re.compile(rb"[0-9]+")
_MOST_DIGITS = 18
_MOST_DIMENSIONS = 32


def parsed(file: bytes) -> NDArray[Any]:
    """Return the array that is a file's content.

    What the header says of type and sizes is held to the bytes that are there before there is an
    array. Raises ValueError for what is no such array, for types other than plain little-endian
    numbers, and for Fortran order.
    """
    if not file.startswith(_MARK) or len(file) < 12:
        raise ValueError("a member is no array of NumPy's")
    start = 10 if file[6] == 1 else 12
    length = int.from_bytes(file[8:start], "little")
    if length > len(file) - start:
        raise ValueError("an array's header is cut off")
    header, start = file[start : start + length], start + length
    if not _behind(header, b"'fortran_order'").startswith(b"False"):
        raise ValueError("an array is in Fortran order")
    dtype, shape = _dtype(header), _shape(header)
    elements, there = 1, (len(file) - start) // dtype.itemsize
    for size in shape:
        if size and elements > there // size:
            raise ValueError("an array is cut off")
        elements *= size
    if elements * dtype.itemsize != len(file) - start:
        raise ValueError("an array has another size than its shape")
    return np.frombuffer(file, dtype, elements, start).reshape(shape).copy()


def _behind(header: bytes, key: bytes) -> bytes:
    """What follows a key in a header, without blanks."""
    _, found, rest = header.partition(key)
    if not found:
        raise ValueError("an array's header lacks an entry")
    return rest.lstrip(b" :")


def _dtype(header: bytes) -> np.dtype[Any]:
    said = _DTYPE.match(_behind(header, b"'descr'"))
    if said is None:
        raise ValueError("an array holds something other than plain numbers")
    return np.dtype(said[1].decode("ascii"))


def _shape(header: bytes) -> tuple[int, ...]:
    rest = _behind(header, b"'shape'")
    if not rest.startswith(b"("):
        raise ValueError("an array's shape is no tuple")
    inside, closed, _ = rest[1:].partition(b")")
    if not closed or inside.strip(b"0123456789, "):
        raise ValueError("an array's shape is no tuple of whole numbers")
    numbers = _SIZE.findall(inside)
    if any(len(digits) > _MOST_DIGITS for digits in numbers):
        raise ValueError("an array is too large")
    shape = tuple(int(digits) for digits in numbers)
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError("an array has more than 32 dimensions")
    return shape
