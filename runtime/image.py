"""Image loading: from a file or an array to the array that the model's input takes.

Files are decoded by Pillow, which gives the pixels of `keras.utils.load_img`; JPEG files for the
methods of TensorFlow have those of `tf.io.decode_jpeg` (`jpeg.py`). Like Keras, this ignores the
orientation in EXIF, drops alpha, and takes the first image of an animation. Pillow is imported only
where an image has to be opened, or resized with one of its filters.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadImage, BadInput, EngineMissing
from .jpeg import tensorflow_pixels
from .manifest_schema import COLORS
from .pixel_formats import SIZE_MULTIPLES, encode
from .resize import UNSTATED, Resize, resized, rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.Image import Image

    from .manifest import InputSpec

    ImageSource = str | os.PathLike[str] | Image | NDArray[np.uint8]

_MODES = {"RGB": "RGB", "GRAY": "L"}

_HIGH_BYTE = ("tf", "cv2")
"""The libraries that read the high byte of a grey PNG of 16 bits; Pillow clips it to white."""

_TO_8_BITS = "convert it to 8 bits a value first, as for training"


def sample(image: ImageSource, spec: InputSpec) -> NDArray[Any]:
    """Turn an image into the array that the model's input takes, without the batch dimension.

    `image` is as for `pixels`. It is resized as the manifest says, unless the model takes any size,
    and converted to the input's format, layout and dtype. If the format needs even sizes, an odd
    last row or column is cut off.

    Raises BadImage, BadInput and EngineMissing as `pixels`; BadInput for an image that is too small
    for the format.
    """
    color = spec.color or "RGB"
    dtype = "uint8" if color in SIZE_MULTIPLES else spec.dtype
    decoded = pixels(image, spec.size, "GRAY" if color == "GRAY" else "RGB", spec.resize, dtype)
    rows, columns = SIZE_MULTIPLES.get(color, (1, 1))
    height, width = (size // step * step for size, step in zip(decoded.shape, (rows, columns)))
    if not height or not width:
        raise BadInput(
            f"an image of {decoded.shape[0]} x {decoded.shape[1]} is too small for {color}",
            hint="give a larger image",
        )
    return encode(decoded[:height, :width], color, spec.layout or "NHWC", spec.dtype)


def pixels(
    image: ImageSource,
    size: tuple[int | None, int | None],
    color: str = "RGB",
    resize: Resize = UNSTATED,
    dtype: str = "uint8",
) -> NDArray[Any]:
    """Return an image as [height, width, channels], 3 channels for "RGB" and 1 for "GRAY".

    `image` is a path, a PIL image, or a uint8 array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4].
    `size` is (height, width); if either is None, the image keeps its own size. `dtype` is "uint8"
    or "float32". What a method of resizing does not round is rounded to the nearest byte for uint8,
    and is left as it is for float32.

    Raises BadImage for an image that is missing, damaged, too large, or not of 8 bits; BadInput for
    any other invalid argument; EngineMissing without Pillow.
    """
    decoded = _of_color(_array(image, _MODES[color], resize.pixel_library), COLORS[color])
    height, width = size
    if height is not None and width is not None:
        decoded = resized(decoded, (height, width), resize)
    return rounded(decoded) if dtype == "uint8" else decoded.astype(dtype)


def _array(image: Any, mode: str, library: str) -> NDArray[np.uint8]:
    """Return the image as uint8 [h, w, c]; one that is not an array has the channels of `mode`."""
    if isinstance(image, np.ndarray):
        layouts = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
        if image.dtype != np.uint8 or not layouts or not image.size:
            raise BadInput(
                f"an image must be uint8 [height, width, 3], got {image.dtype} {list(image.shape)}",
                hint="pass one image of uint8 0..255: preprocessing is inside the model",
            )
        return image.reshape(*image.shape[:2], -1)
    try:
        from PIL import Image
    except ImportError as error:
        hint = "run: pip install pillow"
        raise EngineMissing("Pillow is needed to open images", hint=hint) from error
    if isinstance(image, Image.Image):
        return _guarded("the image", lambda: _converted(image, mode, library))
    if not isinstance(image, (str, os.PathLike)):
        raise BadInput(
            f"an image cannot be a {type(image).__name__}",
            hint="pass a path, a PIL image or a uint8 array",
        )
    name = os.fspath(image)

    def opened() -> NDArray[np.uint8]:
        with open(name, "rb") as file, Image.open(file) as decoded:
            return _converted(decoded, mode, library)

    return _guarded(name, opened)


def _guarded(name: str, read: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    hint = "check that the file opens in an image viewer"
    try:
        return read()
    except BadImage as error:
        raise BadImage(f"{name} {error}", hint=error.hint) from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"{name} is too large: {error}", hint="scale it down first") from error
    except UnidentifiedImageError as error:
        raise BadImage(f"{name} is not an image of a known format", hint=hint) from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BadImage(f"{name} cannot be opened: {error.strerror}") from error
    except Exception as error:  # the exceptions of Pillow's decoders share no base class
        raise BadImage(f"{name} is damaged: {error}", hint=hint) from error


def _converted(image: Image, mode: str, library: str) -> NDArray[np.uint8]:
    """Convert a PIL image to 8 bits a value, [h, w, c], as the library reads it.

    One that Pillow would only clip is refused.
    """
    if library == "tf":
        decoded = tensorflow_pixels(image, mode)
        if decoded is not None:
            return decoded
    if image.mode == "F" or image.mode.startswith("I"):
        if image.format != "PNG":
            kind = "floating-point" if image.mode == "F" else "16-bit or 32-bit"
            raise BadImage(f"has {kind} values, which do not fit 0..255", hint=_TO_8_BITS)
        if library not in _HIGH_BYTE:
            raise BadImage(
                "is grey with 16 bits, which Keras' load_img does not scale to 0..255",
                hint=f"{_TO_8_BITS}; or export with a tf- or cv2- method of resizing, for a model "
                "that was trained on such files through TensorFlow or OpenCV",
            )
        return (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)[..., np.newaxis]
    array = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return array.reshape(*array.shape[:2], -1)


def _of_color(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Drop alpha; repeat grey for 3 channels, or weigh colours for one as Pillow's mode L does."""
    if channels == image.shape[2]:
        return image
    if image.shape[2] == 1:
        return image.repeat(channels, axis=2)
    if channels == 3:
        return image[..., :3]
    weights = np.array([19595, 38470, 7471], np.int64)
    luma: NDArray[np.int64] = (image[..., :3] * weights).sum(axis=2, keepdims=True)
    return ((luma + 0x8000) >> 16).astype(np.uint8)
