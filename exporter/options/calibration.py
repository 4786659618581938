"""Calibration options: the images, the range estimator and the accuracy that INT8 must keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kexport.errors import BadArgument, did_you_mean
from kexport.targets import Target

METHODS = ("minmax", "percentile", "entropy", "mse")
"""The range estimators: all values, or the part of them that serves 8 bits better."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model is calibrated and quantized to INT8, and how its accuracy is checked.

    `data` is a folder of images, a .npy or .npz file of uint8 [N, H, W, C], or an iterable of
    arrays, PIL images and paths. For a model of several inputs, or of numbers, it is a folder with
    a subfolder for each input, in which files of one name are one sample, a .npz file with an array
    for each, or a mapping of arrays by name. Up to 600 are used, two fifths of them, but at most
    100, to calibrate and the others to judge. `method` is the range estimator: "minmax",
    "percentile", "entropy" or "mse". `cache` is a file of measured ranges, which is written where
    it does not exist. `max_drop` is the largest accuracy drop: the share of held-out images whose
    best class differs from Keras', or the loss of the task's measure where `eval_data` is given;
    INT8 is refused where the whole confidence interval of the drop is beyond it. `int8_share` is
    the smallest share of the multiply-adds that stays in INT8 while sensitive layers return to
    float. `ship_images` of the held-out images go into the bundle, as golden images in the place of
    drawn ones, on which INT8 is far from Keras. `require_speedup` refuses INT8 that is not that
    many times as fast as fp32 on this machine. `eval_data` are labelled images, for a model whose
    only input is an image: a folder with one subfolder for each class, or what the task has
    (docs/tasks.md). They are for other precisions too: they measure Keras itself and, for classes,
    check their order, show whether Keras does better with images that are resized in another way,
    and choose the preprocessing if `recipe.preprocess` is "auto".

    Raises:
        BadArgument: an unknown method, or a number out of its range.
    """

    data: str | Path | Iterable[Any] | Mapping[str, Any] | None = None
    method: str = "mse"
    cache: str | Path | None = None
    max_drop: float = 0.01
    eval_data: str | Path | None = None
    require_speedup: float | None = None
    int8_share: float = 0.5
    ship_images: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if not 0 <= self.max_drop <= 1:
            raise BadArgument(
                f"`calibration.max_drop` must be between 0 and 1, not {self.max_drop:g}",
                hint="give the share of accuracy that INT8 may cost, such as 0.01",
            )
        if not 0 <= self.int8_share <= 1:
            raise BadArgument(
                f"`calibration.int8_share` must be between 0 and 1, not {self.int8_share:g}",
                hint="give the share of the multiply-adds that must stay in INT8, such as 0.5",
            )
        if self.ship_images < 0:
            raise BadArgument(
                f"`calibration.ship_images` must be 0 or more, not {self.ship_images}",
                hint="give the number of held-out images that may go into the bundle, such as 8",
            )
        if self.require_speedup is not None and not self.require_speedup > 0:
            raise BadArgument(
                f"`calibration.require_speedup` must be positive, not {self.require_speedup:g}",
                hint="give the speedup over fp32 that INT8 must reach, such as 1.5",
            )


def check_method(method: str) -> None:
    """Refuse a range estimator that does not exist.

    Raises:
        BadArgument: the method is not one of `METHODS`.
    """
    if method not in METHODS:
        raise BadArgument(
            f"there is no calibration method {method!r}",
            hint=did_you_mean(method, METHODS) or f"choose one of {', '.join(METHODS)}",
        )


def check(calibration: Calibration, target: Target, *, local: bool) -> None:
    """Refuse calibration options that do not fit the target, before anything is built.

    Args:
        calibration: the options.
        target: the target of the export.
        local: whether the target is like this machine, so that it can be timed here.

    Raises:
        BadArgument: INT8 without calibration images, calibration options for another precision, or
            a required speedup on a device that cannot be timed here.
    """
    if target.precision != "int8":
        given = next(_given(calibration), None)
        if given is not None:
            raise BadArgument(
                f"`calibration.{given}` is for int8, and {target.name} is {target.precision}",
                hint=f"leave it out, or choose the target {target.device}-int8",
            )
        return
    if calibration.data is None:
        raise BadArgument(
            f"{target.name} needs `calibration.data`: images to calibrate on",
            hint="give a folder of 100 or more images like those that the model will meet",
        )
    if isinstance(calibration.data, (str, Path)) and not Path(calibration.data).exists():
        raise BadArgument(
            f"the calibration data {calibration.data} does not exist",
            hint="give a folder of images, or a .npy or .npz file",
        )
    if calibration.require_speedup is not None and not local:
        raise BadArgument(
            f"{target.name} cannot be timed on this machine",
            hint="leave out `calibration.require_speedup`, and time the bundle on the device",
        )


def _given(calibration: Calibration) -> Iterator[str]:
    """Yield the fields for int8 alone that differ from their defaults."""
    for field in fields(calibration):
        if field.name == "eval_data":
            continue
        value = getattr(calibration, field.name)
        if value is not field.default and (field.name == "data" or value != field.default):
            yield field.name
