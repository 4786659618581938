"""Choices for the inputs of a model: one for all of them, or others by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from kexport.errors import BadArgument, did_you_mean

Choice = TypeVar("Choice")

EVERY = "*"
"""In the place of a name: every input without a choice of its own."""


def of_input(given: Choice | Mapping[str, Choice] | None, name: str) -> Choice | None:
    """Return the choice for an input; None where there is none for it."""
    if isinstance(given, Mapping):
        return given.get(name, given.get(EVERY))
    return given


def choices(given: Choice | Mapping[str, Choice] | None) -> tuple[Choice, ...]:
    """Return all choices, whatever inputs they are for."""
    if given is None:
        return ()
    return tuple(given.values()) if isinstance(given, Mapping) else (given,)


def refuse_unknown(given: object, names: Iterable[str], argument: str) -> None:
    """Refuse a choice for an input that the model does not have, or that is no image.

    Args:
        given: one choice, or choices by name.
        names: the inputs that a choice may be for.
        argument: what the choice is, as messages name it.

    Raises:
        BadArgument: a name is not among `names`.
    """
    known = tuple(names)
    if not isinstance(given, Mapping):
        return
    unknown = next((name for name in given if name not in (EVERY, *known)), None)
    if unknown is not None:
        listed = ", ".join(known) or "none"
        raise BadArgument(
            f"{argument} is given for {unknown!r}, which is no such input of the model",
            hint=did_you_mean(unknown, known) or f"the inputs that it may be for: {listed}",
        )
