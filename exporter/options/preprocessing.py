"""Preprocessing of images before the model: by the name of a mode, or by numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeGuard, get_args

from kexport.errors import BadArgument, did_you_mean
from kexport.zoo import Mode

MODES: tuple[Mode, ...] = get_args(Mode)

AUTO = "auto"
"""In the place of a mode: the one with which Keras is right most often on labelled images."""

RAW = "raw"
"""In the place of a mode: the input is no image, whatever its shape."""

GRAY_MODES: tuple[Mode, ...] = ("none", "unit", "tf")
"""The modes that are defined for images of one channel."""

EFFECTS: dict[Mode, str] = {
    "none": "0..255 as they are",
    "unit": "x / 255: 0..1",
    "tf": "x / 127.5 - 1: -1..1",
    "caffe": "BGR, minus ImageNet's mean",
    "torch": "x / 255, minus ImageNet's mean, divided by its deviation",
}
"""What each mode does to an image of RGB in 0..255."""

Numbers = float | tuple[float, ...]
"""One number for all channels, or one for each."""


@dataclass(frozen=True, slots=True)
class Custom:
    """Preprocessing by numbers: (x * scale - mean) / std, on images in 0..255.

    With `bgr` the channels are reversed first, so that the numbers are for blue, green and red.
    `scale`, `mean` and `std` have one value, or one for each channel as the model sees them.

    Raises:
        BadArgument: a number is not finite, a scale or deviation is zero, or their counts are not
            1 or 3.
    """

    scale: tuple[float, ...] = (1.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    def __post_init__(self) -> None:
        for name in ("scale", "mean", "std"):
            values: tuple[float, ...] = getattr(self, name)
            if len(values) not in (1, 3) or not all(map(isfinite, values)):
                raise BadArgument(
                    f"`recipe.{name}` must be one number or three, not {_written(values)}",
                    hint="give one for all channels, or one for each of an image's three",
                )
            if name != "mean" and 0 in values:
                raise BadArgument(
                    f"`recipe.{name}` must not be 0, which makes all images equal or infinite",
                    hint="give the number that training used",
                )

    def __str__(self) -> str:
        """Return the formula, such as "(x * 0.5 - 1) / 2, BGR"."""
        formula = f"(x * {_written(self.scale)} - {_written(self.mean)}) / {_written(self.std)}"
        return f"{formula}, BGR" if self.bgr else formula


Preprocessing = Mode | Custom
"""What is done to an image in 0..255 before the model."""

Settled = Preprocessing | Literal["raw"]
"""What is done to an input of the shape of an image; nothing if it is no image."""

Asked = Settled | Literal["auto"]
"""What a user may ask for."""


SettledByInput = Settled | Mapping[str, Settled]
AskedByInput = Asked | Mapping[str, Asked] | None
"""The same for all inputs, or by their names (`options.by_input`); None if nothing was said."""


def is_known(asked: Asked | None) -> TypeGuard[Preprocessing]:
    """Tell whether a preprocessing was given that needs no labelled images to be found."""
    return asked not in (None, AUTO, RAW)


def refuse_unknown(name: str) -> None:
    """Refuse a word that is neither a mode nor "auto" or "raw".

    Raises:
        BadArgument: there is no such mode.
    """
    known = (*MODES, AUTO, RAW)
    if name not in known:
        raise BadArgument(
            f"no preprocessing is named '{name}'",
            hint=did_you_mean(name, known) or f"give one of {', '.join(known)}",
        )


def fit(preprocessing: Preprocessing, channels: int, model: str) -> None:
    """Refuse a preprocessing that is not defined for images of so many channels.

    Raises:
        BadArgument: it is for three channels, and the model takes grey images.
    """
    if channels != 1:
        return
    if isinstance(preprocessing, Custom):
        lengths = map(len, (preprocessing.scale, preprocessing.mean, preprocessing.std))
        if preprocessing.bgr or max(lengths) > 1:
            raise BadArgument(
                f"model {model!r} takes grey images, and the preprocessing {preprocessing} is for "
                "three channels",
                hint="give one number each, and leave out `recipe.bgr`",
            )
    elif preprocessing not in GRAY_MODES:
        raise BadArgument(
            f"model {model!r} takes grey images, and mode {preprocessing!r} is for three channels",
            hint=f"give another `recipe.preprocess` ({', '.join(GRAY_MODES)}), or preprocess in "
            "layers of the model",
        )


def described(preprocessing: Preprocessing) -> str:
    """Return a mode or a formula with what it does, as messages write it."""
    if isinstance(preprocessing, Custom):
        return f"custom: {preprocessing}"
    return f"{preprocessing}: {EFFECTS[preprocessing]}"


def numbers(given: Numbers | Sequence[float] | None, default: float) -> tuple[float, ...]:
    """Return one number, several or none as a tuple."""
    if given is None:
        return (default,)
    if isinstance(given, (int, float)):
        return (float(given),)
    return tuple(float(value) for value in given)


def _written(values: Sequence[float]) -> str:
    words = [f"{value:g}" for value in values]
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"
