"""Unique names."""

from collections.abc import Container


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return `wanted`; if it is taken, with the first of the suffixes _1, _2, ... that is not."""
    name, count = wanted, 0
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
