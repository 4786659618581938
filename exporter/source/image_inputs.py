"""Image inputs of a Keras model: which of its inputs hold images, and their names in a bundle."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from kexport.conversion import input_specs
from kexport.keras_graph import InputSpec
from kexport.options.by_input import of_input
from kexport.options.input_image import IMAGE
from kexport.options.preprocessing import RAW, AskedByInput

CHANNELS = (1, 3)
"""Numbers of channels that an image has."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An input that holds images: its name in the bundle, and its place among all inputs.

    `size` is height and width, None where open.
    """

    name: str
    place: int
    size: tuple[int | None, int | None]
    channels: int

    @property
    def is_sized(self) -> bool:
        """Whether its images have one height and width."""
        return None not in self.size


def image_specs(model: keras.Model, asked: AskedByInput = None) -> tuple[ImageSpec, ...]:
    """Return the image inputs of a model: float [N, H, W, 1 or 3] that is not said to be raw.

    Args:
        model: a built Keras model.
        asked: the preprocessing that a user asked for; "raw" for what is no image.
    """
    specs = input_specs(model)
    names = input_names(specs)
    return tuple(
        _spec(spec, name, place)
        for place, (spec, name) in enumerate(zip(specs, names, strict=True))
        if _has_shape(spec) and of_input(asked, name) != RAW
    )


def input_names(specs: tuple[InputSpec, ...]) -> tuple[str, ...]:
    """Return the names that choices by input go by: `image` for an image that is the only input."""
    if len(specs) == 1 and _has_shape(specs[0]):
        return (IMAGE,)
    return tuple(spec.name for spec in specs)


def _has_shape(spec: InputSpec) -> bool:
    shape = spec.shape
    return len(shape) == 4 and shape[3] in CHANNELS and spec.dtype.is_floating_point()


def _spec(spec: InputSpec, name: str, place: int) -> ImageSpec:
    _, height, width, channels = spec.shape
    size = (
        height if isinstance(height, int) else None,
        width if isinstance(width, int) else None,
    )
    return ImageSpec(name, place, size, int(channels))
