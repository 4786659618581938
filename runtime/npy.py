"""NPY reader: one array as numpy.save writes it, without evaluating its header.

The format (numpy.lib.format) is a magic string, a version, the length of the header, and the header
as a Python dict literal.
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
    """Parse the content of an .npy file.

    The header's type and shape are compared with the number of bytes before an array is created.
    Raises ValueError for other content, for types other than plain little-endian numbers, and for
    Fortran order.
    """
    if not file.startswith(_MARK) or len(file) < 12:
        raise ValueError("a member is not a NumPy array")
    start = 10 if file[6] == 1 else 12
    length = int.from_bytes(file[8:start], "little")
    if length > len(file) - start:
        raise ValueError("an array's header is cut off")
    header, start = file[start : start + length], start + length
    if not _after(header, b"'fortran_order'").startswith(b"False"):
        raise ValueError("an array is in Fortran order")
    dtype, shape = _dtype(header), _shape(header)
    elements, there = 1, (len(file) - start) // dtype.itemsize
    for size in shape:
        if size and elements > there // size:
            raise ValueError("an array is cut off")
        elements *= size
    if elements * dtype.itemsize != len(file) - start:
        raise ValueError("an array's size does not match its shape")
    return np.frombuffer(file, dtype, elements, start).reshape(shape).copy()


def _after(header: bytes, key: bytes) -> bytes:
    """Return the part of a header after a key and its colon."""
    _, found, rest = header.partition(key)
    if not found:
        raise ValueError("an array's header lacks an entry")
    return rest.lstrip(b" :")


def _dtype(header: bytes) -> np.dtype[Any]:
    descr = _DTYPE.match(_after(header, b"'descr'"))
    if descr is None:
        raise ValueError("an array holds something other than plain numbers")
    return np.dtype(descr[1].decode("ascii"))


def _shape(header: bytes) -> tuple[int, ...]:
    rest = _after(header, b"'shape'")
    if not rest.startswith(b"("):
        raise ValueError("an array's shape is not a tuple")
    inside, closed, _ = rest[1:].partition(b")")
    if not closed or inside.strip(b"0123456789, "):
        raise ValueError("an array's shape is not a tuple of whole numbers")
    numbers = _SIZE.findall(inside)
    if any(len(digits) > _MOST_DIGITS for digits in numbers):
        raise ValueError("an array is too large")
    shape = tuple(int(digits) for digits in numbers)
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError("an array has more than 32 dimensions")
    return shape
