"""How the images arrive that a graph takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from kexport.errors import BadArgument, did_you_mean

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

CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "gray": 1, "nv12": 1, "yuyv": 2}
"""Numbers that are stored for each pixel, or for nv12 in each row of its two planes."""

EVEN = {"nv12": (2, 2), "yuyv": (1, 2)}
"""Formats whose pixels share colours: what height and width must be multiples of."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The images that a graph takes; without arguments uint8 [N, H, W, 3], RGB, 0..255.

    `format`: "rgb", "bgr", "rgba" and "bgra" (alpha is dropped), "gray", or one of two that cameras
    give, BT.601 in limited range: "nv12" [N, H * 3/2, W, 1], the Y plane and below it the plane of
    U and V in turns at half the height and width; "yuyv" [N, H, W, 2], Y beside U and V in turns.
    None is "rgb", or "gray" where the model has one channel. `layout`: "nhwc", or "nchw" with the
    channels before height and width. `dtype`: "uint8", or "float32", still 0..255. `resize`: how a
    image of any size becomes one of the model's size; None where it has that size. `crop`:
    "center" cuts the largest window of the model's aspect ratio out of the middle first.

    Raises:
        BadArgument: a word that is not one of these, or two that exclude one another.
    """

    format: Format | None = None
    layout: Layout = "nhwc"
    dtype: Dtype = "uint8"
    resize: Resize | None = None
    crop: Crop | None = None

    def __post_init__(self) -> None:
        _check("input format", self.format, (None, *FORMATS))
        _check("layout", self.layout, LAYOUTS)
        _check("input dtype", self.dtype, DTYPES)
        _check("resize", self.resize, (None, *RESIZES))
        _check("crop", self.crop, (None, *CROPS))
        if self.crop is not None and self.resize is None:
            raise BadArgument(
                f"the crop {self.crop!r} needs a resize behind it",
                hint=f"choose `image_input.resize` from {', '.join(RESIZES)}",
            )
        if self.subsampled and (self.layout, self.dtype) != ("nhwc", "uint8"):
            raise BadArgument(
                f"{self.format} is bytes in an order of its own, not {self.layout} {self.dtype}",
                hint="leave out `image_input.layout` and `image_input.dtype`, or take another "
                "`image_input.format`",
            )

    def of_channels(self, channels: int) -> ImageInput:
        """The same for a model of 1 or 3 channels, the format chosen."""
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
        """Numbers that are stored for each pixel."""
        return CHANNELS[self.form]

    @property
    def subsampled(self) -> bool:
        """Whether neighbouring pixels share their colour."""
        return self.form in EVEN

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """The shape of one image of that size, without the batch.

        Raises:
            BadArgument: the format has no image of that size, because it is odd.
        """
        rows, columns = EVEN.get(self.form, (1, 1))
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
