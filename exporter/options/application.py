"""How to build or load the model, as a user describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kexport.zoo import Mode

APPLICATION_ONLY = frozenset(
    {
        *("weights", "include_top", "pooling", "classes", "input_shape", "activation", "alpha"),
        *("minimalistic", "depth_multiplier", "include_preprocessing"),
    }
)
"""Fields that are arguments of Keras Applications, and mean nothing for a model of one's own."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build an Application, or how to read a model of one's own.

    The Application's own arguments are `weights` ("imagenet", "random" or None, or a file),
    `include_top`, `pooling`, `classes`, `input_shape` (H, W, C, whatever Keras' data format is),
    `activation` (Keras' `classifier_activation`: a name, a function, or None for logits), `alpha`,
    `minimalistic`, `depth_multiplier` and `include_preprocessing`; None means Keras' own default.

    `preprocess` is the mode of `preprocess_input` that a model of one's own was trained with, or
    an Application built without its preprocessing layers. `seed` is that of random weights and of
    the images used for comparison. `trust` lets a file run code that it carries.
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
    preprocess: Mode | None = None
    seed: int = 0
    trust: bool = False

    @property
    def random(self) -> bool:
        """Whether the weights are random."""
        return self.weights in (None, "random")

    def application_only(self) -> str | None:
        """Return the first field that is set although only an Application has a use for it."""
        said = (field for field in fields(self) if getattr(self, field.name) != field.default)
        return next((field.name for field in said if field.name in APPLICATION_ONLY), None)
