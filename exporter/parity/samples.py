"""The inputs on which a bundle is compared with Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kexport.arrays import Array
from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.keras_graph import structured
from kexport.options.image_input import ImageInput
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import count_for, draw_images

TENSOR_SAMPLES = 4
"""Number of samples for inputs that are not images."""

OPEN_SIZE = (192, 256)
"""Height and width of the samples for a model that leaves these axes open. They differ, so that a
mix-up of the two shows, and both can be halved at least five times."""

OPEN_EXTENT = 32
"""Extent of the samples along an open axis of any other input."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs for both sides of the comparison.

    `raw` has the bundle's inputs by name, batch first; images are in the format of `pixels`, which
    is None for a model without an image input. `prepared` has the same samples for Keras, in the
    order of the model's inputs: images decoded, resized and preprocessed in `mode`.
    """

    raw: Mapping[str, Array]
    prepared: tuple[Array, ...]
    mode: str
    pixels: ImageInput | None

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.prepared[0])

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that the graph resizes to; None if it does not resize."""
        if self.pixels is None or self.pixels.resize is None:
            return None
        height, width = self.prepared[0].shape[1:3]
        return height, width

    def of_batch(self, batch: int | None) -> dict[str, Array]:
        """Return the raw inputs, cut or repeated to a fixed batch; unchanged for an open one."""
        if batch is None:
            return dict(self.raw)
        rows = np.arange(batch) % self.count
        return {name: array[rows] for name, array in self.raw.items()}


def is_image_model(model: keras.Model) -> bool:
    """Tell whether the only input is an image: float [N, H, W, 1 or 3]."""
    specs = input_specs(model)
    shape = specs[0].shape
    return (
        len(specs) == 1
        and len(shape) == 4
        and shape[3] in (1, 3)
        and specs[0].dtype.is_floating_point()
    )


def make(model: keras.Model, mode: str, seed: int, pixels: ImageInput | None = None) -> Samples:
    """Draw images, or random numbers for other inputs; the same seed gives the same samples.

    If the graph resizes, the images are larger than the model's and of another aspect ratio.

    Args:
        model: a built Keras model.
        mode: the mode of `preprocess_input` for its images.
        seed: seed of the images or numbers.
        pixels: the images that the graph takes; RGB or grey of the model's size by default.

    Raises:
        BadArgument: the model has no image input to preprocess or decode, the format has no
            images of its size, or the model cannot compute the extents chosen for its open axes.
    """
    if is_image_model(model):
        return _of_images(model, mode, seed, pixels or ImageInput())
    if mode != "none" or pixels not in (None, ImageInput()):
        raise BadArgument(
            f"model {model.name!r} has no image input to "
            + (f"preprocess in mode {mode!r}" if mode != "none" else "decode or resize"),
            hint="leave out `recipe.preprocess` and the options of the image input",
        )
    rng = np.random.default_rng(seed)
    specs = input_specs(model)
    shapes = [_closed(spec.shape) for spec in specs]
    arrays = [
        _random(rng, (TENSOR_SAMPLES, *shape), spec.dtype.numpy())
        for spec, shape in zip(specs, shapes, strict=True)
    ]
    if any(not isinstance(dim, int) for spec in specs for dim in spec.shape[1:]):
        _try(model, shapes, [array[:1] for array in arrays])
    named = {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
    return Samples(named, tuple(arrays), mode, None)


def _of_images(model: keras.Model, mode: str, seed: int, pixels: ImageInput) -> Samples:
    _, height, width, channels = input_specs(model)[0].shape
    is_open = not (isinstance(height, int) and isinstance(width, int))
    if is_open and pixels.resize is not None:
        raise BadArgument(
            f"model {model.name!r} takes images of any size, so there is no size to resize to",
            hint="leave out `image_input.resize`, or give an Application its `recipe.input_shape`",
        )
    if channels == 1 and mode in ("caffe", "torch"):
        raise BadArgument(
            f"model {model.name!r} takes grey images, and mode {mode!r} is for three channels",
            hint="give another `recipe.preprocess`, or preprocess in layers of the model",
        )
    pixels = pixels.of_channels(int(channels))
    own = (
        height if isinstance(height, int) else OPEN_SIZE[0],
        width if isinstance(width, int) else OPEN_SIZE[1],
    )
    arriving = own if pixels.resize is None else _other_size(own)
    pixels.shape(*arriving)
    shades = 1 if pixels.form == "gray" else 3
    drawn = draw_images(count_for(*arriving), *arriving, channels=shades, seed=seed)
    color, layout = pixels.color, pixels.layout.upper()
    raw = np.stack([encode(image, color, layout, pixels.dtype) for image in drawn])
    prepared = prepare(decode(raw, pixels, own, int(channels)), mode)
    if is_open:
        _try(model, [arriving], [prepared[:1]])
    return Samples({"image": raw}, (prepared,), mode, pixels)


def _other_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size that is even, larger than `size`, and of another aspect ratio."""
    height, width = size
    return height * 6 // 5 // 2 * 2 + 6, width * 8 // 5 // 2 * 2 + 10


def _closed(shape: Sequence[int | str]) -> tuple[int, ...]:
    """Return the shape without its batch, with `OPEN_EXTENT` for each open axis."""
    return tuple(dim if isinstance(dim, int) else OPEN_EXTENT for dim in shape[1:])


def _try(model: keras.Model, shapes: Sequence[tuple[int, ...]], inputs: Sequence[Array]) -> None:
    """Check that a model with open axes can compute the extents chosen for them."""
    try:
        model(structured(model, inputs), training=False)
    except Exception as error:  # Keras' layers raise what they like
        sizes = ", ".join(" x ".join(map(str, shape)) for shape in shapes)
        raise BadArgument(
            f"model {model.name!r} leaves axes open and does not compute {sizes}, "
            f"the size that kexport would compare it at: {str(error).splitlines()[0]}",
            hint="give its Input all sizes, in Keras or with `recipe.input_shape=(H, W, 3)`",
        ) from error


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, size=shape).astype(dtype)
