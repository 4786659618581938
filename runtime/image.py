"""Image loading: open and resize images exactly as `keras.utils.load_img` does.

Like Keras, this ignores the orientation in EXIF, and stretches an image to the model's size. Pillow
is imported only when an image has to be opened or resized.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadImage, BadInput, EngineMissing
from .manifest_schema import COLORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.Image import Image

    ImageSource = str | os.PathLike[str] | Image | NDArray[np.uint8]

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
"""Interpolation methods by their names in Keras; each is Pillow's filter of the same name."""

_MODES = {"RGB": "RGB", "GRAY": "L"}


def pixels(
    image: ImageSource,
    size: tuple[int | None, int | None],
    color: str = "RGB",
    interpolation: str = "nearest",
) -> NDArray[np.uint8]:
    """Return an image as uint8 [height, width, channels], 3 channels for "RGB" and 1 for "GRAY".

    `image` is a path, a PIL image, or a uint8 array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4].
    `size` is (height, width); if either is None, the image keeps its own size. The result equals
    `img_to_array(load_img(path, target_size=size, interpolation=interpolation))`.

    Raises BadImage for an image that is missing or damaged, BadInput for any other invalid
    argument, EngineMissing without Pillow.
    """
    if interpolation not in INTERPOLATIONS:
        known = ", ".join(INTERPOLATIONS)
        raise BadInput(f"no interpolation named {interpolation!r}", hint=f"use one of {known}")
    if isinstance(image, np.ndarray):
        _check_array(image)
        wanted = (size[0] or image.shape[0], size[1] or image.shape[1], COLORS[color])
        if image.shape == wanted:
            return image
    height, width = size
    target = None if height is None or width is None else (width, height)
    return _converted(image, target, color, interpolation)


def _check_array(array: NDArray[Any]) -> None:
    layouts = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not layouts or not array.size:
        raise BadInput(
            f"an image must be uint8 [height, width, 3], got {array.dtype} {list(array.shape)}",
            hint="pass one image of uint8 0..255: preprocessing is inside the model",
        )


def _converted(
    image: Any, size: tuple[int, int] | None, color: str, interpolation: str
) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        hint = "run: pip install pillow"
        raise EngineMissing("Pillow is needed to open images", hint=hint) from error
    if isinstance(image, np.ndarray):
        flat = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
        return _resized(Image.fromarray(flat), size, color, interpolation)
    if isinstance(image, Image.Image):
        return _guarded("the image", lambda: _resized(image, size, color, interpolation))
    if not isinstance(image, (str, os.PathLike)):
        raise BadInput(
            f"an image cannot be a {type(image).__name__}",
            hint="pass a path, a PIL image or a uint8 array",
        )
    name = os.fspath(image)

    def opened() -> NDArray[np.uint8]:
        with open(name, "rb") as file, Image.open(file) as decoded:
            return _resized(decoded, size, color, interpolation)

    return _guarded(name, opened)


def _guarded(name: str, read: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    from PIL import UnidentifiedImageError

    hint = "check that the file opens in an image viewer"
    try:
        return read()
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{name} is not an image of a known format", hint=hint) from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BadImage(f"{name} cannot be opened: {error.strerror}") from error
    except Exception as error:  # the exceptions of Pillow's decoders share no base class
        raise BadImage(f"{name} is damaged: {error}", hint=hint) from error


def _resized(
    image: Image, size: tuple[int, int] | None, color: str, interpolation: str
) -> NDArray[np.uint8]:
    from PIL import Image as pillow

    if color == "GRAY" and image.mode.startswith("I"):
        raise BadImage(
            f"a grey image with more than 8 bits (mode {image.mode}) does not fit a uint8 input",
            hint="convert it to 8 bits a pixel first",
        )
    if image.mode != _MODES[color]:
        image = image.convert(_MODES[color])
    if size is not None and image.size != size:
        filters = getattr(pillow, "Resampling", pillow)
        image = image.resize(size, getattr(filters, interpolation.upper()))
    array = np.array(image, dtype=np.uint8)
    return array.reshape(array.shape[0], array.shape[1], COLORS[color])
