"""The images that a graph takes: format, layout, dtype, resize and crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from kexport.errors import BadArgument, did_you_mean

if TYPE_CHECKING:
    from kexport.runtime.resize import Resize as ResizeOutside

Format = Literal["rgb", "bgr", "rgba", "bgra", "gray", "nv12", "yuyv"]
Layout = Literal["nhwc", "nchw"]
Dtype = Literal["uint8", "float32"]
Resize = Literal["nearest", "bilinear", "bicubic"]
Crop = Literal["center"]

FORMATS: tuple[Format, ...] = get_args(Format)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
RESIZES: tuple[Resize, ...] = get_args(Resize)
CROPS: tuple[Crop, ...] = get_args(Crop)

AUTO = "auto"
"""Choose the resizing outside the graph by Keras' accuracy on labelled images."""

_EQUIVALENT = {"nearest": "pil-nearest", "bilinear": "tf-bilinear", "bicubic": "tf-bicubic"}
"""The resizing outside the graph that gives the pixels of one in the graph, but for rounding."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The images that a graph takes; by default uint8 [N, H, W, 3], RGB, 0..255.

    `format`: "rgb", "bgr", "rgba" and "bgra" (alpha is dropped), "gray", or one of two that cameras
    give, BT.601 in limited range: "nv12" [N, H * 3/2, W, 1], the Y plane and below it the plane of
    U and V in turns at half the height and width; "yuyv" [N, H, W, 2], Y beside U and V in turns.
    None is "rgb", or "gray" where the model has one channel. `layout`: "nhwc", or "nchw" with the
    channels before height and width. `dtype`: "uint8", or "float32", still 0..255. `resize`: how a
    image of any size becomes one of the model's size; None where it has that size. `crop`:
    "center" cuts the largest window of the model's aspect ratio out of the middle first.
    `resize_outside`: how an image of another size becomes one of the model's size before the graph,
    a method such as "tf-bilinear", or one with a fit such as "tf-bilinear,crop"
    (docs/image-input.md). "auto" takes the best of the likely ones on the labelled images of
    `calibration.eval_data`. None is "tf-bilinear", which
    `keras.utils.image_dataset_from_directory` does by default, and "pil-nearest" for Keras
    Applications, which `keras.utils.load_img` does.

    Raises:
        BadArgument: a word that is not one of these, or two that exclude one another.
    """

    format: Format | None = None
    layout: Layout = "nhwc"
    dtype: Dtype = "uint8"
    resize: Resize | None = None
    crop: Crop | None = None
    resize_outside: str | None = None

    def __post_init__(self) -> None:
        _check("input format", self.format, (None, *FORMATS))
        _check("layout", self.layout, LAYOUTS)
        _check("input dtype", self.dtype, DTYPES)
        _check("resize", self.resize, (None, *RESIZES))
        _check("crop", self.crop, (None, *CROPS))
        if self.crop is not None and self.resize is None:
            raise BadArgument(
                f"the crop {self.crop!r} needs a resize after it",
                hint=f"add `image_input.resize`: {', '.join(RESIZES)}",
            )
        if self.resize_outside is not None:
            self._check_resize_outside(*self.resize_outside.split(",", 1))
        if self.subsampled and (self.layout, self.dtype) != ("nhwc", "uint8"):
            raise BadArgument(
                f"{self.format} is bytes in an order of its own, not {self.layout} {self.dtype}",
                hint="leave out `image_input.layout` and `image_input.dtype`, or choose another "
                "`image_input.format`",
            )

    def _check_resize_outside(self, method: str, fit: str | None = None) -> None:
        from kexport.runtime.manifest_schema import FITS, METHODS  # with it comes numpy

        if method != AUTO or fit is not None:
            _check("resizing outside the graph", method, METHODS)
            _check("fit", fit, (None, *FITS))
        if self.resize is not None:
            raise BadArgument(
                f"the graph resizes images itself, as `image_input.resize` {self.resize!r} says",
                hint="leave out either `image_input.resize` or `image_input.resize_outside`",
            )

    @property
    def outside(self) -> ResizeOutside:
        """How an image of another size becomes the model's, in the graph or before it.

        It must be chosen already: neither None nor "auto".
        """
        from kexport.runtime.resize import UNSTATED, Resize  # with it comes numpy

        if self.resize is not None:
            return Resize(_EQUIVALENT[self.resize], "stretch" if self.crop is None else "crop")
        return UNSTATED if self.resize_outside is None else Resize.named(self.resize_outside)

    def of_channels(self, channels: int) -> ImageInput:
        """Return it with a format for a model of 1 or 3 channels, unless one was chosen."""
        return self if self.format else replace(self, format="gray" if channels == 1 else "rgb")

    @property
    def form(self) -> Format:
        """The format, "rgb" where none was chosen."""
        return self.format or "rgb"

    @property
    def color(self) -> str:
        """The format as the manifest writes it, such as "NV12"."""
        return self.form.upper()

    @property
    def channels(self) -> int:
        """Values along the channel axis."""
        from kexport.runtime.manifest_schema import COLORS  # with it comes numpy

        return COLORS[self.color]

    @property
    def shades(self) -> int:
        """Channels of an image before it is encoded: 1 for grey, 3 for RGB."""
        return 1 if self.form == "gray" else 3

    @property
    def subsampled(self) -> bool:
        """Whether neighbouring pixels share their chroma."""
        return self._size_multiples != (1, 1)

    @property
    def _size_multiples(self) -> tuple[int, int]:
        from kexport.runtime.pixel_formats import SIZE_MULTIPLES  # with it comes numpy

        return SIZE_MULTIPLES.get(self.color, (1, 1))

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape of one image of that size, without the batch.

        Raises:
            BadArgument: the format has no image of that size, because it is odd.
        """
        rows, columns = self._size_multiples
        if height % rows or width % columns:
            raise BadArgument(
                f"{self.form} has no images of {height} x {width}: "
                f"{'height and width' if rows > 1 else 'the width'} must be even",
                hint="choose an even size with `recipe.input_shape`, or resize in the graph with "
                "`image_input.resize`",
            )
        if self.form == "nv12":
            return height * 3 // 2, width, self.channels
        planar = self.layout == "nchw"
        return (self.channels, height, width) if planar else (height, width, self.channels)


def _check(what: str, given: str | None, known: tuple[str | None, ...]) -> None:
    if given not in known:
        words = [word for word in known if word is not None]
        hint = did_you_mean(str(given), words) or f"give one of {', '.join(words)}"
        raise BadArgument(f"no {what} is called {given!r}", hint=hint)
