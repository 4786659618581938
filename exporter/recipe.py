"""What a user may say about the model."""

from __future__ import annotations

from dataclasses import dataclass

from kexport.zoo import Mode


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build an Application, or how to read a model of one's own.

    `weights`, `include_top`, `pooling`, `classes`, `input_shape` (H, W, C) and `activation` are the
    Application's own arguments; `weights` is "imagenet", "random" or a file. `preprocess` is the
    mode of `preprocess_input` that a model from a file was trained with. `seed` is that of random
    weights and of the pictures used for comparison. `trust` lets a file run code that it carries.
    """

    weights: str = "imagenet"
    include_top: bool = True
    pooling: str | None = None
    classes: int | None = None
    input_shape: tuple[int, int, int] | None = None
    activation: str | None = "softmax"
    preprocess: Mode | None = None
    seed: int = 0
    trust: bool = False

    def application_only(self) -> str | None:
        """The first argument that only an Application has a use for, as the command line has it."""
        said = {
            "--weights": self.weights not in ("imagenet",),
            "--no-top": not self.include_top,
            "--pooling": self.pooling is not None,
            "--classes": self.classes is not None,
            "--input-shape": self.input_shape is not None,
            "--activation": self.activation != "softmax",
        }
        return next((option for option, given in said.items() if given), None)
