"""The task of a model: what its outputs are for, as a user describes it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from kexport.errors import BadArgument, did_you_mean

TaskName = Literal[
    "classify", "binary", "multilabel", "segment", "detect", "regress", "embed", "image", "raw"
]

BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx"]
BoxUnits = Literal["relative", "pixels"]

_COLOR = re.compile("#[0-9a-fA-F]{6}")

TASKS: tuple[TaskName, ...] = get_args(TaskName)


@dataclass(frozen=True, slots=True)
class Task:
    """What the outputs of a model are for; by default found in the model where that is certain.

    `name` is one of these:

    - "classify": the classes with the best scores, of [N, classes].
    - "binary": yes or no, of one number a sample. With two labels, the first is that of 0.
    - "multilabel": every label whose score reaches the threshold, of [N, labels].
    - "segment": a class for each pixel, of [N, h, w, classes], or yes or no of [N, h, w, 1].
    - "detect": objects, of boxes [N, boxes, 4] and scores [N, boxes, classes].
    - "regress": numbers; the labels are their names.
    - "embed": a vector, of [N, numbers], to compare with those of known images by its angle.
    - "image": an image, of [N, h, w, 1 or 3].
    - "raw": arrays.

    `threshold` is the least score, from 0 to 1, that means yes (binary, multilabel, detect, and
    segment with one channel; 0.5 by default). `from_logits` says whether scores still need their
    softmax or sigmoid; it has to be given only where the last layer does not tell.

    For segment, `palette` has a colour for each class, such as "#ff8000"; those of PASCAL VOC by
    default. For image, `range` has the values of black and white: (0, 1) after a sigmoid, (-1, 1)
    after a tanh; elsewhere it has to be given.

    For detect, `box_format` says how a box is written: "xyxy" (left, top, right, bottom), "xywh"
    (left, top, width, height), "cxcywh" (centre, width, height) or "yxyx"; and `box_units` whether
    its numbers are "relative" to the image that the model sees, or "pixels" of it. `iou` is the
    largest overlap of two boxes of one class, 0.5 by default.

    Raises:
        BadArgument: an unknown task, a threshold that is no score, a colour of another form, or a
            range that is none.
    """

    name: TaskName | None = None
    threshold: float | None = None
    from_logits: bool | None = None
    palette: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    box_format: BoxFormat | None = None
    box_units: BoxUnits | None = None
    iou: float | None = None

    def __post_init__(self) -> None:
        _check("task", self.name, TASKS)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise BadArgument(
                f"`task.threshold` must be a score from 0 to 1, not {self.threshold:g}",
                hint="give a number such as 0.5",
            )

        _check("box format", self.box_format, get_args(BoxFormat))
        _check("unit of boxes", self.box_units, get_args(BoxUnits))
        if self.iou is not None and not 0 <= self.iou <= 1:
            raise BadArgument(
                f"`task.iou` must be a share from 0 to 1, not {self.iou:g}",
                hint="give a number such as 0.5",
            )
        if self.range is not None and not self.range[0] < self.range[1] < math.inf:
            raise BadArgument(
                f"`task.range` must be two numbers, the smaller first, not {self.range}",
                hint="give the values of black and white, such as (0, 1)",
            )
        for color in self.palette:
            if not _COLOR.fullmatch(color):
                raise BadArgument(
                    f"{color!r} in `task.palette` is no colour",
                    hint="write each as red, green and blue in hexadecimal, such as #ff8000",
                )

    def given(self) -> tuple[str, ...]:
        """Return the fields that were given, other than the name."""
        return tuple(
            field.name
            for field in fields(self)
            if field.name != "name" and getattr(self, field.name) != field.default
        )


def _check(what: str, given: str | None, known: Sequence[str]) -> None:
    if given is not None and given not in known:
        raise BadArgument(
            f"no {what} is called {given!r}",
            hint=did_you_mean(given, known) or f"give one of {', '.join(known)}",
        )
