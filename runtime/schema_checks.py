"""Small checks of parsed JSON, and ways to build larger ones from them.

A check takes a value and the place where it stands, and yields a sentence for each fault. As in
JSON Schema, true and false are no numbers, and 1.0 is a whole one. Numbers are finite.
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
    """Whether it is a number that a float64 holds: not infinite, and no NaN."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def text(value: Any, where: str) -> Iterator[str]:
    """A text with at least one character."""
    if not isinstance(value, str) or not value:
        yield _wrong(where, "a non-empty text", value)


def string(value: Any, where: str) -> Iterator[str]:
    """A text, which may be empty."""
    if not isinstance(value, str):
        yield _wrong(where, "a text", value)


def flag(value: Any, where: str) -> Iterator[str]:
    """true or false."""
    if not isinstance(value, bool):
        yield _wrong(where, "true or false", value)


def anything(value: Any, where: str) -> Iterator[str]:
    """Anything at all."""
    return iter(())


def whole(minimum: int) -> Check:
    """A whole number of at least `minimum`."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not _is_number(value) or value != value // 1 or value < minimum:
            yield _wrong(where, f"a whole number of at least {minimum}", value)

    return check


def number(minimum: float, maximum: float = float("inf")) -> Check:
    """A number between the two limits, which belong to it."""
    limits = f" of at least {minimum}" if minimum > float("-inf") else ""
    if maximum < float("inf"):
        limits = f" from {minimum} to {maximum}"

    def check(value: Any, where: str) -> Iterator[str]:
        if not _is_number(value) or value < minimum or value > maximum:
            yield _wrong(where, f"a number{limits}", value)

    return check


def matching(pattern: str, wanted: str) -> Check:
    """A text in which the pattern is found; `wanted` describes such a text."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.search(pattern, value):
            yield _wrong(where, wanted, value)

    return check


def exactly(*allowed: object) -> Check:
    """One of the given values."""
    wanted = " or ".join(_shown(value) for value in allowed)

    def check(value: Any, where: str) -> Iterator[str]:
        same_type = [a for a in allowed if isinstance(a, bool) == isinstance(value, bool)]
        if value not in same_type:
            yield _wrong(where, wanted, value)

    return check


def or_null(inner: Check) -> Check:
    """null, or what `inner` allows."""

    def check(value: Any, where: str) -> Iterator[str]:
        if value is not None:
            yield from inner(value, where)

    return check


def list_of(inner: Check, minimum: int = 0) -> Check:
    """A list of at least `minimum` items, each as `inner` wants it."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) < minimum:
            yield _wrong(where, f"a list of at least {minimum}", value)
            return
        for index, item in enumerate(value):
            yield from inner(item, f"{where}[{index}]")

    return check


def fixed(*inner: Check) -> Check:
    """A list with one item for each check, in that order."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) != len(inner):
            yield _wrong(where, f"a list of {len(inner)}", value)
            return
        for index, item in enumerate(value):
            yield from inner[index](item, f"{where}[{index}]")

    return check


def table_of(inner: Check, keys: Check = anything) -> Check:
    """An object whose values are as `inner` wants them, under any names that `keys` allows."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _wrong(where, "an object", value)
            return
        for key, item in value.items():
            yield from keys(key, f"a name in {where}")
            yield from inner(item, f"{where}[{key!r}]")

    return check


def record(**fields: Check) -> Check:
    """An object with these keys, each as its check wants it; other keys are let through."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _wrong(where, "an object", value)
            return
        prefix = f"{where}." if where else ""
        for key, inner in fields.items():
            if key in value:
                yield from inner(value[key], f"{prefix}{key}")
            else:
                yield f"{prefix}{key} is missing"

    return check


def given(key: str, inner: Check) -> Check:
    """Anything, but what an object has under `key` must be as `inner` wants it."""

    def check(value: Any, where: str) -> Iterator[str]:
        if isinstance(value, dict) and key in value:
            yield from inner(value[key], f"{where}.{key}" if where else key)

    return check


def all_of(*checks: Check) -> Check:
    """What every one of the checks allows."""

    def check(value: Any, where: str) -> Iterator[str]:
        for inner in checks:
            yield from inner(value, where)

    return check


def when(key: str, expected: str, then: Check) -> Check:
    """Anything, but an object whose `key` is `expected` must be as `then` wants it."""

    def check(value: Any, where: str) -> Iterator[str]:
        if isinstance(value, dict) and value.get(key) == expected:
            yield from then(value, where)

    return check
