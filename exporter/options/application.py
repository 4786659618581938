"""How to build or load the model, as a user describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from kexport.errors import BadArgument
from kexport.options.by_input import EVERY
from kexport.options.preprocessing import (
    AskedByInput,
    Custom,
    Numbers,
    numbers,
    refuse_unknown,
)
from kexport.zoo import Mode

APPLICATION_ONLY = frozenset(
    {
        *("weights", "include_top", "pooling", "classes", "input_shape", "activation", "alpha"),
        *("minimalistic", "depth_multiplier", "include_preprocessing"),
    }
)
"""Fields that are arguments of Keras Applications, and mean nothing for a model of one's own."""

Word = Mode | Literal["auto", "raw"]
"""A preprocessing by its name."""

NUMBERS = ("scale", "mean", "std", "bgr")
"""Fields that together are a preprocessing."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build an Application, or how to read a model of one's own.

    The Application's own arguments are `weights` ("imagenet", "random" or None, or a file),
    `include_top`, `pooling`, `classes`, `input_shape` (H, W, C, whatever Keras' data format is),
    `activation` (Keras' `classifier_activation`: a name, a function, or None for logits), `alpha`,
    `minimalistic`, `depth_multiplier` and `include_preprocessing`; None means Keras' own default.

    `preprocess` says how images were preprocessed in the training of a model of one's own, or of an
    Application built without its preprocessing layers: "none", "unit" (x / 255), a mode of
    `preprocess_input` ("tf", "caffe" or "torch"), "auto" for the one that labelled images speak
    for, or "raw" for an input that is no image in spite of its shape. It is for all image inputs;
    a mapping has one for each by name, which may be a `Custom`, and under "*" one for all others.
    Instead of it, `scale`, `mean` and `std`, one number or one for each channel, and `bgr` give
    numbers: (x * scale - mean) / std, on channels in reverse order with `bgr`. `seed` is that of
    random weights and of the images used for comparison. `trust` lets a file run code that it
    carries.
    """

    weights: str | Path | None = "imagenet"
    include_top: bool = True
    pooling: str | None = None
    classes: int | None = None
    input_shape: tuple[int, int, int] | None = None
    activation: str | Callable[..., Any] | None = "softmax"
    alpha: float | None = None
    minimalistic: bool = False
    depth_multiplier: int | None = None
    include_preprocessing: bool = True
    preprocess: Word | Mapping[str, Word | Custom] | None = None
    scale: Numbers | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    bgr: bool = False
    seed: int = 0
    trust: bool = False

    @property
    def random(self) -> bool:
        """Whether the weights are random."""
        return self.weights in (None, "random")

    def numbers(self) -> list[str]:
        """Return the fields of `NUMBERS` that are given."""
        given = ((name, getattr(self, name)) for name in NUMBERS)
        return [name for name, value in given if value is not None and value is not False]

    def preprocessing(self) -> AskedByInput:
        """Return the preprocessing that was asked for, by input where it was given so.

        It is None where nothing was said.

        Raises:
            BadArgument: an unknown mode, a mode and numbers, or numbers that are no preprocessing.
        """
        said, given = self.numbers(), self.preprocess
        for word in given.values() if isinstance(given, Mapping) else (given,):
            if isinstance(word, str):
                refuse_unknown(word)
        others = given.get(EVERY) if isinstance(given, Mapping) else given
        if not said:
            return given
        if others is not None:
            raise BadArgument(
                f"`recipe.{said[0]}` makes a preprocessing of its own, and "
                f"`recipe.preprocess={others!r}` names another",
                hint=f"leave out `recipe.preprocess` or `recipe.{said[0]}`",
            )
        scale, mean = numbers(self.scale, 1.0), numbers(self.mean, 0.0)
        custom = Custom(scale, mean, numbers(self.std, 1.0), self.bgr)
        return {**given, EVERY: custom} if isinstance(given, Mapping) else custom

    def application_only(self) -> str | None:
        """Return the first field that is set although only an Application has a use for it."""
        said = (field for field in fields(self) if getattr(self, field.name) != field.default)
        return next((field.name for field in said if field.name in APPLICATION_ONLY), None)
