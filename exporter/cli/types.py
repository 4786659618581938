"""Types of option values that click does not have."""

from math import isfinite
from pathlib import PurePath
from typing import Any, Literal

import click

BatchSize = int | Literal["dynamic"]


def batch_size(value: Any) -> BatchSize:
    """Read a number of images from 1, or the word `dynamic`."""
    if value == "dynamic":
        return "dynamic"
    if not str(value).isdecimal() or int(value) < 1:
        raise click.BadParameter(f"'{value}' is neither a number from 1 nor 'dynamic'")
    return int(value)


def image_shape(value: Any) -> tuple[int, int, int]:
    """Read `H,W` or `H,W,C` as height, width and channels; channels are 3 if not given."""
    parts = str(value).split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"'{value}' is not of the form H,W or H,W,C, such as 299,299")
    height, width, *channels = (int(part) for part in parts)
    return height, width, channels[0] if channels else 3


def value_range(value: Any) -> tuple[float, float] | None:
    """Read `LEAST,LARGEST` as two numbers; an empty text is no range."""
    if value == "":
        return None
    try:
        least, largest = (float(part) for part in str(value).split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not two numbers, such as 0,1") from None
    return least, largest


def input_range(value: Any) -> tuple[str, tuple[float, float]]:
    """Read `NAME=LOW,HIGH` as the name of an input and two numbers."""
    if isinstance(value, tuple):
        return value
    name, _, ends = str(value).rpartition("=")
    found = value_range(ends) if name else None
    if found is None:
        raise click.BadParameter(f"'{value}' is not of the form NAME=LOW,HIGH, such as x=0,255")
    return name, found


def words(value: Any) -> tuple[str, ...]:
    """Read words with commas between them, without the spaces around them."""
    return tuple(word for part in str(value).split(",") if (word := part.strip()))


def numbers(value: Any) -> tuple[float, ...]:
    """Read numbers with commas between them; `1/127.5` is one of them."""
    try:
        return tuple(_number(word) for word in words(value))
    except (ValueError, ZeroDivisionError) as error:
        raise click.BadParameter(
            f"'{value}' is neither a number nor numbers with commas between them, such as "
            "123.7,116.8,103.9"
        ) from error


def share(value: Any) -> float:
    """Read a share, a number from 0 to 1."""
    found = _finite(value)
    if found is None or not 0 <= found <= 1:
        raise click.BadParameter(f"'{value}' is not a share, a number from 0 to 1")
    return found


def positive(value: Any) -> float:
    """Read a number greater than 0."""
    found = _finite(value)
    if found is None or found <= 0:
        raise click.BadParameter(f"'{value}' is not a number greater than 0")
    return found


def _finite(value: Any) -> float | None:
    try:
        found = float(value)
    except ValueError:
        return None
    return found if isfinite(found) else None


def _number(word: str) -> float:
    number, _, divisor = word.partition("/")
    return float(number) / float(divisor) if divisor else float(number)


class PathOr(click.Path):
    """A path, or one of a few words."""

    def __init__(self, *words: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a word as it is, and a path if it is valid."""
        return super().convert(value, param, ctx) if self.is_path(str(value)) else value

    def is_path(self, value: str) -> bool:
        """Return whether the value is a path."""
        return value not in self.words


class ModelName(PathOr):
    """The name of a Keras Application, or the path of a model file."""

    def is_path(self, value: str) -> bool:
        """Return whether the value has the ending of a model file, or names a folder."""
        path = PurePath(value)
        return path.suffix in (".keras", ".h5", ".hdf5") or path.name != value
