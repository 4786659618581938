"""Image samples: synthetic pictures, hard pictures, and pictures of other sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from kexport.arrays import Array
from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Preprocessing
from kexport.parity.samples import trial
from kexport.parity.samples.count import count_of
from kexport.parity.samples.value import Probe, Samples
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import count_for, draw_images

OPEN_SIZE = (192, 256)
"""Height and width of the samples for a model that leaves these axes open. They differ, so that a
mix-up of the two shows, and both can be halved at least five times."""

OTHER_SIZES = (((95, 131), (97, 130), (96, 160)), ((162, 66), (163, 84), (160, 96)))
"""Further heights and widths for such a model: of each group the first that it computes. Odd and
wide first, and what can be halved five times last."""

EVEN_PIXELS = 32 * 32
"""Pixels of the largest picture that may have one value everywhere. A float32 sum of many equal
numbers is rounded in the same direction each time: of an even picture of 96 x 128, Keras' own
global average is off by up to 6e-4 of the spread of ordinary pictures, of one of 32 x 32 by up to
3e-5."""


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A model of one image, and how images are drawn for both sides.

    `own` is its height and width, None where open.
    """

    model: keras.Model
    """In a form that Keras computes on a CPU."""
    mode: Preprocessing
    pixels: ImageInput
    own: tuple[int | None, int | None]
    channels: int
    seed: int

    def draw(self, count: int, size: tuple[int, int]) -> Array:
        """Draw synthetic pictures of a size, in the bundle's format."""
        drawn = draw_images(count, *size, channels=self.pixels.shades, seed=self.seed)
        color, layout = self.pixels.color, self.pixels.layout.upper()
        return np.stack([encode(image, color, layout, self.pixels.dtype) for image in drawn])

    def prepare(self, raw: Array, size: tuple[int, int]) -> Array:
        """Decode, resize and preprocess pictures that arrive in a size, as Keras takes them."""
        own = self.own[0] or size[0], self.own[1] or size[1]
        return prepare(decode(raw, self.pixels, own, self.channels), self.mode)


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


def of_images(subject: ImageModel, batch: int | None) -> Samples:
    """Draw the samples of a model of one image; `batch` is its fixed batch, None if open.

    Raises:
        BadArgument: the format has no images of its size, or the model does not compute the size
            chosen for its open axes.
    """
    pixels, own = subject.pixels, subject.own
    shown = own[0] or OPEN_SIZE[0], own[1] or OPEN_SIZE[1]
    arriving = shown if pixels.resize is None else _larger(shown)
    each = math.prod(pixels.shape(*arriving)) * np.dtype(pixels.dtype).itemsize
    raw = subject.draw(count_of(each, count_for(*arriving)), arriving)
    prepared = subject.prepare(raw, arriving)
    if None in own:
        trial.require(subject.model, [prepared])
    named = list(hard_images(raw.shape[1:], pixels))
    hard = np.stack([image for _, image in named]).astype(raw.dtype)
    of_keras = subject.prepare(hard, arriving)
    faults = trial.faults(subject.model, [of_keras])
    kept = [place for place in range(len(hard)) if place not in faults]
    return Samples(
        {"image": np.concatenate([raw, hard[kept]])},
        (np.concatenate([prepared, of_keras[kept]]),),
        subject.mode,
        pixels,
        ordinary=len(raw),
        probes=(*_batches(raw, prepared, batch), *_sizes(subject, arriving)),
        left_out=tuple(f"{named[place][0]}: {reason}" for place, reason in faults.items()),
    )


def hard_images(shape: Sequence[int], pixels: ImageInput) -> Iterator[tuple[str, Array]]:
    """Yield the name and the values 0..255 [shape] of pictures that photographs are not.

    They are made in the bundle's own format, so that bytes which no RGB colour becomes, such as a
    luma below 16, are among them. Large ones have areas of one value, but are not of one value as
    a whole (`EVEN_PIXELS`).

    Args:
        shape: the shape of one image as it arrives.
        pixels: its format.
    """
    planar = pixels.layout == "nchw"
    y, x = np.indices(shape[1:] if planar else shape[:2])
    planes = {
        "a picture half black and half white": (x >= x.shape[1] // 2) * 255,
        "a chequerboard of black and white pixels": (y + x) % 2 * 255,
    }
    if x.size <= EVEN_PIXELS:
        planes |= {
            "a black picture": np.zeros_like(x),
            "a white picture": np.full_like(x, 255),
            "a grey picture": np.full_like(x, 128),
        }
    else:  # grain of one level, 0 and 1 or 254 and 255, so that sums do not round in one direction
        grain = np.random.default_rng(0).integers(0, 2, x.shape)
        planes = {name: np.abs(plane - grain) for name, plane in planes.items()}
    axis = 0 if planar else 2
    for name, plane in planes.items():
        yield name, np.repeat(np.expand_dims(plane, axis), shape[axis], axis)


def _batches(raw: Array, prepared: Array, batch: int | None) -> Iterator[Probe]:
    if batch is None:
        for count in (1, 3):
            yield Probe(f"batch {count}", {"image": raw[:count]}, (prepared[:count],))


def _sizes(subject: ImageModel, shown: tuple[int, int]) -> Iterator[Probe]:
    """Yield probes of one picture of other sizes, where the graph takes them."""
    groups: Sequence[Sequence[tuple[int, int]]] = ()
    if subject.pixels.resize is not None:
        height, width = (side or 0 for side in subject.own)
        groups = [_evened(subject.pixels, size) for size in _resized(height, width)]
    elif None in subject.own:
        groups = OTHER_SIZES
    seen = {shown}
    for group in groups:
        for size in group:
            if subject.pixels.resize is None:
                size = subject.own[0] or size[0], subject.own[1] or size[1]
            if size in seen or not _exists(subject.pixels, size):
                continue
            raw = subject.draw(1, size)
            prepared = subject.prepare(raw, size)
            if trial.fault(subject.model, [prepared]) is None:
                seen.add(size)
                yield Probe(f"height {size[0]}, width {size[1]}", {"image": raw}, (prepared,))
                break


def _resized(height: int, width: int) -> list[tuple[int, int]]:
    """Return sizes to resize from: smaller and upright, and odd, wider and lower."""
    return [(width * 5 // 8 + 9, height * 3 // 8 + 9), (height * 7 // 8 | 1, width * 13 // 8 | 1)]


def _evened(pixels: ImageInput, size: tuple[int, int]) -> list[tuple[int, int]]:
    even = size[0] // 2 * 2, size[1] // 2 * 2
    return [even] if pixels.subsampled else [size]


def _exists(pixels: ImageInput, size: tuple[int, int]) -> bool:
    try:
        pixels.shape(*size)
    except BadArgument:
        return False
    return True


def _larger(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size that is even, larger than `size`, and of another aspect ratio."""
    height, width = size
    return height * 6 // 5 // 2 * 2 + 6, width * 8 // 5 // 2 * 2 + 10
