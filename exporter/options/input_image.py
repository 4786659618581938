"""An image input of a model, with what was chosen for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Preprocessing

IMAGE = "image"
"""The name in a bundle of an image that is the model's only input."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image input of a model: its preprocessing, and the images that the graph takes for it.

    `name` is that of the input in the bundle, `place` its place among the model's inputs.
    """

    mode: Preprocessing
    pixels: ImageInput = field(default_factory=ImageInput)
    name: str = IMAGE
    place: int = 0
