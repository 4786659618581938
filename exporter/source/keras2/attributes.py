"""Text in the attributes of HDF5 files."""

from __future__ import annotations

import itertools
from typing import Any


def text_of(value: Any) -> str:
    """Return the text of an attribute, which is text or bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def texts_of(attributes: Any, name: str) -> list[str]:
    """Read a list of names, which Keras splits into parts where it is too long for HDF5."""
    parts = [attributes[name]] if name in attributes else []
    for number in itertools.count():
        part = attributes.get(f"{name}{number}")
        if part is None:
            break
        parts.append(part)
    return [text_of(each) for part in parts for each in part]
