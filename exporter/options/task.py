"""The task of a model: what its outputs are for, as a user describes it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Literal, get_args

from kexport.errors import BadArgument, did_you_mean

TaskName = Literal[
    "classify", "binary", "multilabel", "segment", "regress", "embed", "image", "raw"
]

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
    - "regress": numbers; the labels are their names.
    - "embed": a vector, of [N, numbers], to compare with those of known images by its angle.
    - "image": an image, of [N, h, w, 1 or 3].
    - "raw": arrays.

    `threshold` is the least score, from 0 to 1, that means yes (binary, multilabel, and segment
    with one channel; 0.5 by default). `palette` has a colour for each class of a mask, such as
    "#ff8000"; those of PASCAL VOC by default. `range` has the values of black and white in an
    image: (0, 1) after a sigmoid, (-1, 1) after a tanh; elsewhere it has to be given. `from_logits`
    says whether scores still need their softmax or sigmoid; it has to be given only where the last
    layer does not tell.

    Raises:
        BadArgument: an unknown task, a threshold that is no score, a colour of another form, or a
            range that is none.
    """

    name: TaskName | None = None
    threshold: float | None = None
    from_logits: bool | None = None
    palette: tuple[str, ...] = ()
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.name not in (None, *TASKS):
            raise BadArgument(
                f"no task is called {self.name!r}",
                hint=did_you_mean(str(self.name), TASKS) or f"give one of {', '.join(TASKS)}",
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise BadArgument(
                f"`task.threshold` must be a score from 0 to 1, not {self.threshold:g}",
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
