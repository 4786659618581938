"""Inputs of a model in three forms: decoded, as the graph takes them, and as Keras takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras

from kexport.arrays import Array
from kexport.calibration.dataset.encoding import encode_images
from kexport.calibration.dataset.images import ImageForm
from kexport.calibration.dataset.inputs import Form, TensorForm
from kexport.calibration.execution.rows import Rows
from kexport.conversion import InputSpec, input_specs
from kexport.options.input_image import InputImage
from kexport.parity.samples import Samples
from kexport.source.preprocessing import decode, prepare

LARGER = 2
"""How much larger than the model's the images are that a bicubic resize is calibrated on."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An input: its name in the bundle, the shape of one sample in Keras, and its dtype there.

    The shape of an image is that of the samples, and that of numbers as Keras declares it: None for
    an open axis, of which data may have another extent than the samples.

    `image` says how images arrive and are preprocessed; None for numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    image: InputImage | None

    @property
    def form(self) -> Form:
        """What is read from files for it."""
        if self.image is None:
            return TensorForm(self.shape, self.dtype)
        height, width, _ = self._pixels
        pixels = self.image.pixels
        return ImageForm((height, width), pixels.outside, pixels.shades, pixels.dtype)

    @property
    def calibrating(self) -> Form:
        """What is read to calibrate on: larger images for a bicubic resize in the graph.

        It goes beyond 0..255 at the edges of such images, which those of the model's size do not
        show.
        """
        form = self.form
        if self.image is None or self.image.pixels.resize != "bicubic":
            return form
        assert isinstance(form, ImageForm), "an image has the form of one"
        height, width = form.size
        return replace(form, size=(LARGER * height, LARGER * width))

    @property
    def _pixels(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.shape
        assert height is not None, "an image has a size"
        assert width is not None, "an image has a size"
        assert channels is not None, "an image has channels"
        return height, width, channels

    def encoded(self, decoded: Array) -> Array:
        """Return samples as the graph takes them, from decoded images or numbers."""
        return decoded if self.image is None else encode_images(decoded, self.image.pixels)

    def prepared(self, raw: Array) -> Array:
        """Return samples as Keras takes them, from what the graph takes."""
        if self.image is None:
            return raw
        height, width, channels = self._pixels
        size = (height, width)
        return prepare(decode(raw, self.image.pixels, size, channels), self.image.mode)


def inputs_of(model: keras.Model, samples: Samples) -> tuple[ModelInput, ...]:
    """Return the inputs of a model, named as in its samples."""
    images = {image.place: image for image in samples.images}
    declared = [_declared(spec) for spec in input_specs(model)]
    return tuple(
        ModelInput(
            name,
            array.shape[1:] if place in images else declared[place],
            str(array.dtype),
            images.get(place),
        )
        for place, (name, array) in enumerate(zip(samples.raw, samples.prepared, strict=True))
    )


def _declared(spec: InputSpec) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in spec.shape[1:])


def prepare_all(inputs: Sequence[ModelInput], rows: Rows) -> list[Array]:
    """Return samples of all inputs as Keras takes them, in the order of the inputs."""
    return [one.prepared(rows.arrays[one.name]) for one in inputs]
