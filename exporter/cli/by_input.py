"""Options for all inputs of a model, or for one: `--layout nchw`, `--layout left=nchw`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kexport.cli.groups import Declaration, declare
from kexport.options.by_input import EVERY
from kexport.options.image_input import ImageInput

Pairs = Sequence[tuple[str, Any]]
"""Choices as they were given: the name of an input, or `EVERY`, and the value."""


if TYPE_CHECKING:
    _Type = click.ParamType[tuple[str, Any]]
else:
    _Type = click.ParamType  # which takes no types in click 8.2.0


class ByInput(_Type):
    """One of some words, or any text, with the name of an input and `=` before it or not."""

    name = "text"

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.words = tuple(words)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the input, or `EVERY`, and the word."""
        if isinstance(value, tuple):
            return value
        name, _, word = str(value).rpartition("=")
        known = click.Choice(self.words).convert(word, param, ctx) if self.words else word
        return name or EVERY, known

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        """Return the words, or what the option declares."""
        return f"[NAME=][{'|'.join(self.words)}]" if self.words else None


def declare_by_input(*names: str, words: Sequence[str] = (), **attributes: Any) -> Declaration:
    """Describe an option that may be repeated, once for each input."""
    return declare(*names, type=ByInput(words), multiple=True, **attributes)


def chosen(context: click.Context, parameter: click.Parameter, pairs: Pairs) -> Any:
    """Return what was given: None, one value for all inputs, or values by input."""
    found = dict(pairs)
    return found.get(EVERY) if set(found) <= {EVERY} else found


def image_inputs(**fields: Pairs) -> ImageInput | Mapping[str, ImageInput]:
    """Return the images that a graph takes, by input if a choice was given so.

    Args:
        fields: the choices for each field of `ImageInput`.
    """
    given = {field: dict(pairs) for field, pairs in fields.items()}

    def of(name: str) -> ImageInput:
        found = {field: values.get(name, values.get(EVERY)) for field, values in given.items()}
        return ImageInput(**{field: value for field, value in found.items() if value is not None})

    names = {name for values in given.values() for name in values} | {EVERY}
    return of(EVERY) if names == {EVERY} else {name: of(name) for name in sorted(names)}
