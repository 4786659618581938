"""What several commands share, and the checks of options that click has no type for."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from kexport.options.image_input import CROPS, DTYPES, FORMATS, LAYOUTS, RESIZES, ImageInput

Batch = int | Literal["dynamic"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
jetpack = click.option(
    "--jetpack",
    metavar="V",
    help="The JetPack on the device; 5.1 is the newest 5.1.x.  [default: the newest]",
)
tensorrt = click.option(
    "--tensorrt",
    metavar="V",
    help="The TensorRT on the device.  [default: that of the JetPack, or the newest]",
)


def _names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",")) if value else ()


compute_capabilities = click.option(
    "--compute-capabilities",
    callback=_names,
    metavar="8.6,8.9",
    help="Those of the GPUs that an rtx target's engine is for.  [default: all that are known]",
)

top_k = click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="Give the K best classes as indices and scores.",
)

_PIXELS = (
    click.option(
        "--input-format",
        type=click.Choice(FORMATS),
        help="What an image's numbers are.  [default: rgb, or gray for a grey model]",
    ),
    click.option(
        "--layout",
        type=click.Choice(LAYOUTS),
        default="nhwc",
        show_default=True,
        help="Where an image's channels stand.",
    ),
    click.option(
        "--input-dtype",
        type=click.Choice(DTYPES),
        default="uint8",
        show_default=True,
        help="An image's dtype; 0..255 in both.",
    ),
    click.option(
        "--resize",
        type=click.Choice(RESIZES),
        help="Take images of any size, and resize them in the graph.",
    ),
    click.option(
        "--crop",
        type=click.Choice(CROPS),
        help="Before --resize, cut out the middle in the model's aspect ratio.",
    ),
)


def pixels(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of how images arrive, as one argument `pixels`."""

    @functools.wraps(command)
    def collecting(
        *arguments: Any,
        input_format: Any,
        layout: Any,
        input_dtype: Any,
        resize: Any,
        crop: Any,
        **others: Any,
    ) -> Any:
        chosen = ImageInput(input_format, layout, input_dtype, resize, crop)
        return command(*arguments, pixels=chosen, **others)

    return functools.reduce(lambda made, option: option(made), reversed(_PIXELS), collecting)


CALIBRATION_METHODS = ("minmax", "percentile", "entropy", "mse")
"""`kexport.calibration.statistics.ranges.METHODS`, which takes too long to load for a help text."""

CALIBRATION = (
    "calibration_data",
    "calibration_method",
    "calibration_cache",
    "max_drop",
    "eval_data",
    "require_speedup",
)

_CALIBRATION = (
    click.option(
        "--calibration-data",
        type=click.Path(),
        metavar="DIR|FILE",
        help="For int8: images like those on the device; a folder, .npz or .npy.",
    ),
    click.option(
        "--calibration-method",
        type=click.Choice(CALIBRATION_METHODS),
        default="mse",
        show_default=True,
        help="How the range of each tensor is found.",
    ),
    click.option(
        "--calibration-cache",
        type=click.Path(),
        metavar="FILE",
        help="Measured ranges; written where it is missing.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 1),
        default=0.01,
        show_default=True,
        metavar="X",
        help="The share of images that int8 may classify otherwise.",
    ),
    click.option(
        "--eval-data",
        type=click.Path(),
        metavar="DIR",
        help="Images in a folder for each class, to judge int8 by.",
    ),
    click.option(
        "--require-speedup",
        type=click.FloatRange(0, min_open=True),
        metavar="X",
        help="Refuse int8 that is less than X times as fast as fp32 here.",
    ),
)


def calibration(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of int8, as one argument `calibration`: those of `api.export`."""

    @functools.wraps(command)
    def collecting(*arguments: Any, **others: Any) -> Any:
        chosen = {name: others.pop(name) for name in CALIBRATION}
        return command(*arguments, calibration=chosen, **others)

    return functools.reduce(lambda made, option: option(made), reversed(_CALIBRATION), collecting)


def batch(context: click.Context, parameter: click.Parameter, value: str) -> Batch:
    """Read a number of images from 1, or the word `dynamic`."""
    if value == "dynamic":
        return "dynamic"
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"'{value}' is neither a number from 1 nor 'dynamic'")
    return int(value)


def labels(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Let through the word `imagenet`, and a file or folder that is there."""
    if value in (None, "imagenet") or Path(str(value)).exists():
        return value
    raise click.BadParameter(f"'{value}' does not exist")


def shape(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    """Read `H,W` or `H,W,C`; return (height, width, channels), three channels if none are given."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"'{value}' is not of the form H,W or H,W,C, such as 299,299")
    height, width, *channels = (int(part) for part in parts)
    return height, width, channels[0] if channels else 3
