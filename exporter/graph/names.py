"""Names that are still free."""

from collections.abc import Container


def free_name(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or `wanted` with the first number, from 1 on, that makes it none of `taken`."""
    name, count = wanted, 0
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
