"""Image samples: synthetic images in the format of the bundle, and what Keras takes for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.dataset.encoding import encode_images
from kexport.calibration.dataset.images import ImageForm
from kexport.errors import BadArgument
from kexport.options.image_input import ImageInput
from kexport.options.input_image import InputImage
from kexport.parity.samples.input_values import Values
from kexport.source.image_inputs import ImageSpec
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import count_for, draw_images

OPEN_SIZE = (192, 256)
"""Height and width of images for a model that leaves these axes open. They differ, so that a
mix-up of the two shows, and both can be halved at least five times."""

EVEN_PIXELS = 32 * 32
"""Pixels of the largest image that may have one value everywhere. A float32 sum of many equal
numbers is rounded in the same direction each time: of an even image of 96 x 128, Keras' own
global average is off by up to 6e-4 of the spread of ordinary images, of one of 32 x 32 by up to
3e-5."""


@dataclass(frozen=True, slots=True)
class ImageValues:
    """The images of one input, for both sides. A shape is that of a decoded image, (H, W, C)."""

    spec: ImageSpec
    image: InputImage
    seed: int
    discrete: bool = False

    @property
    def name(self) -> str:
        """The name of the input in the bundle."""
        return self.spec.name

    @property
    def resized(self) -> bool:
        """Whether the graph takes any size and resizes."""
        return self.image.pixels.resize is not None

    def arriving(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which images arrive that become `shape` of the model.

        If the graph resizes, they are larger than the model's and of another aspect ratio.
        """
        return (*_larger(shape[:2]), *shape[2:]) if self.resized else shape

    def bytes_of(self, shape: tuple[int, ...]) -> int:
        """Return the size of one image as it arrives.

        Raises:
            BadArgument: the format has no images of that size.
        """
        pixels = self.image.pixels
        count = int(np.prod(pixels.shape(shape[0], shape[1])))
        return count * np.dtype(pixels.dtype).itemsize

    def fewest(self, shape: tuple[int, ...]) -> int:
        """Return the smallest number of ordinary images."""
        return count_for(shape[0], shape[1])

    def values(self, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Values:
        """Draw synthetic images that arrive in a shape, in the bundle's format."""
        pixels = self.image.pixels
        drawn = draw_images(count, shape[0], shape[1], pixels.shades, self.seed)
        ordinary = self.encoded(drawn)
        hard = hard_images(ordinary.shape[1:], pixels)
        return Values(ordinary, tuple((name, image.astype(ordinary.dtype)) for name, image in hard))

    def form(self, shape: tuple[int, ...]) -> ImageForm:
        """Return what is read from files for images that arrive in a shape."""
        pixels = self.image.pixels
        return ImageForm((shape[0], shape[1]), pixels.outside, pixels.shades, pixels.dtype)

    def like(self, given: Array) -> ImageValues:
        """Return the same input: hard images are those of any images."""
        return self

    def encoded(self, given: Array) -> Array:
        """Bring images [N, H, W, C], RGB or grey in 0..255, into the bundle's format."""
        return encode_images(given, self.image.pixels)

    def prepare(self, raw: Array, shape: tuple[int, ...]) -> Array:
        """Decode, resize and preprocess images that arrive in a shape, as Keras takes them."""
        own = self.spec.size[0] or shape[0], self.spec.size[1] or shape[1]
        decoded = decode(raw, self.image.pixels, own, self.spec.channels)
        return prepare(decoded, self.image.mode)

    def exists(self, shape: tuple[int, ...]) -> bool:
        """Return whether the format has images of that size."""
        try:
            self.image.pixels.shape(shape[0], shape[1])
        except BadArgument:
            return False
        return True

    def from_other_sizes(self) -> list[tuple[int, ...]]:
        """Return two further shapes that the graph resizes from; none if it does not resize."""
        height, width = self.spec.size
        if not self.resized or height is None or width is None:
            return []
        sizes = _resized(height, width)
        if self.image.pixels.subsampled:
            sizes = [(tall // 2 * 2, wide // 2 * 2) for tall, wide in sizes]
        return [(*size, self.spec.channels) for size in sizes]


def hard_images(shape: Sequence[int], pixels: ImageInput) -> Iterator[tuple[str, Array]]:
    """Yield the name and the values 0..255 [shape] of images that photographs are not.

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
        "an image half black and half white": (x >= x.shape[1] // 2) * 255,
        "a chequerboard of black and white pixels": (y + x) % 2 * 255,
    }
    if x.size <= EVEN_PIXELS:
        planes |= {
            "a black image": np.zeros_like(x),
            "a white image": np.full_like(x, 255),
            "a grey image": np.full_like(x, 128),
        }
    else:  # grain of one level, 0 and 1 or 254 and 255, so that sums do not round in one direction
        grain = np.random.default_rng(0).integers(0, 2, x.shape)
        planes = {name: np.abs(plane - grain) for name, plane in planes.items()}
    axis = 0 if planar else 2
    for name, plane in planes.items():
        yield name, np.repeat(np.expand_dims(plane, axis), shape[axis], axis)


def _resized(height: int, width: int) -> list[tuple[int, int]]:
    """Return sizes to resize from: smaller and upright, and odd, wider and lower."""
    return [(width * 5 // 8 + 9, height * 3 // 8 + 9), (height * 7 // 8 | 1, width * 13 // 8 | 1)]


def _larger(size: Sequence[int]) -> tuple[int, int]:
    """Return a size that is even, larger than `size`, and of another aspect ratio."""
    height, width = size
    return height * 6 // 5 // 2 * 2 + 6, width * 8 // 5 // 2 * 2 + 10
