"""Schema checks: small checks of parsed JSON, and functions that combine them into larger ones.

A check takes a value and its path in the document, and yields a sentence for each fault. As in JSON
Schema, true and false are not numbers, and 1.0 is an integer. Numbers must be finite.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Check = Callable[[Any, str], Iterator[str]]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return names[value]
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def _wrong(where: str, wanted: str, value: object) -> str:
    return f"{where or 'the manifest'} must be {wanted}, not {_shown(value)}"


def _is_number(value: Any) -> bool:
    """Whether the value is a number that fits in a float64: neither infinite nor NaN."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def non_empty_string(value: Any, where: str) -> Iterator[str]:
    """Check that the value is a string of at least one character."""
    if not isinstance(value, str) or not value:
        yield _wrong(where, "a non-empty string", value)


def string(value: Any, where: str) -> Iterator[str]:
    """Check that the value is a string, which may be empty."""
    if not isinstance(value, str):
        yield _wrong(where, "a string", value)


def boolean(value: Any, where: str) -> Iterator[str]:
    """Check that the value is true or false."""
    if not isinstance(value, bool):
        yield _wrong(where, "true or false", value)


def anything(value: Any, where: str) -> Iterator[str]:
    """Accept any value."""
    return iter(())


def integer(minimum: int) -> Check:
    """Return a check for a whole number of at least `minimum`."""

    def check_integer(value: Any, where: str) -> Iterator[str]:
        if not _is_number(value) or value != value // 1 or value < minimum:
            yield _wrong(where, f"a whole number of at least {minimum}", value)

    return check_integer


def number(minimum: float, maximum: float = float("inf")) -> Check:
    """Return a check for a number from `minimum` to `maximum`, both included."""
    limits = f" of at least {minimum}" if minimum > float("-inf") else ""
    if maximum < float("inf"):
        limits = f" from {minimum} to {maximum}"

    def check_number(value: Any, where: str) -> Iterator[str]:
        if not _is_number(value) or value < minimum or value > maximum:
            yield _wrong(where, f"a number{limits}", value)

    return check_number


def matching(pattern: str, wanted: str) -> Check:
    """Return a check for a string in which `pattern` is found; `wanted` describes such a string."""

    def check_pattern(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.search(pattern, value):
            yield _wrong(where, wanted, value)

    return check_pattern


def one_of(*allowed: object) -> Check:
    """Return a check for one of the given values."""
    wanted = " or ".join(_shown(value) for value in allowed)

    def check_choice(value: Any, where: str) -> Iterator[str]:
        same_type = [a for a in allowed if isinstance(a, bool) == isinstance(value, bool)]
        if value not in same_type:
            yield _wrong(where, wanted, value)

    return check_choice


def or_null(inner: Check) -> Check:
    """Return a check for null, or a value that passes `inner`."""

    def check_nullable(value: Any, where: str) -> Iterator[str]:
        if value is not None:
            yield from inner(value, where)

    return check_nullable


def list_of(inner: Check, minimum: int = 0) -> Check:
    """Return a check for a list of at least `minimum` items that each pass `inner`."""

    def check_items(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) < minimum:
            yield _wrong(where, f"a list of at least {minimum}", value)
            return
        for index, item in enumerate(value):
            yield from inner(item, f"{where}[{index}]")

    return check_items


def tuple_of(*inner: Check) -> Check:
    """Return a check for a list with one item for each check of `inner`, in that order."""

    def check_tuple(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) != len(inner):
            yield _wrong(where, f"a list of {len(inner)}", value)
            return
        for index, item in enumerate(value):
            yield from inner[index](item, f"{where}[{index}]")

    return check_tuple


def mapping_of(inner: Check, keys: Check = anything) -> Check:
    """Return a check for an object whose values pass `inner` and whose keys pass `keys`."""

    def check_mapping(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _wrong(where, "an object", value)
            return
        for key, item in value.items():
            yield from keys(key, f"a name in {where}")
            yield from inner(item, f"{where}[{key!r}]")

    return check_mapping


def object_with(**fields: Check) -> Check:
    """Return a check for an object that has these keys, with values that pass their checks.

    Other keys are allowed.
    """

    def check_object(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _wrong(where, "an object", value)
            return
        prefix = f"{where}." if where else ""
        for key, inner in fields.items():
            if key in value:
                yield from inner(value[key], f"{prefix}{key}")
            else:
                yield f"{prefix}{key} is missing"

    return check_object


def if_present(key: str, inner: Check) -> Check:
    """Return a check that applies `inner` to what an object has under `key`, if it has that key."""

    def check_present(value: Any, where: str) -> Iterator[str]:
        if isinstance(value, dict) and key in value:
            yield from inner(value[key], f"{where}.{key}" if where else key)

    return check_present


def all_of(*checks: Check) -> Check:
    """Return a check for values that pass every one of the given checks."""

    def check_all(value: Any, where: str) -> Iterator[str]:
        for inner in checks:
            yield from inner(value, where)

    return check_all


def when(key: str, expected: str, then: Check) -> Check:
    """Return a check that applies `then` to objects whose `key` has the value `expected`."""

    def check_condition(value: Any, where: str) -> Iterator[str]:
        if isinstance(value, dict) and value.get(key) == expected:
            yield from then(value, where)

    return check_condition
