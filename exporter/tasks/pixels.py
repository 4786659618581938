"""Tasks whose answer is an image: segment, image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import Output
from kexport.runtime.segment import UNSEEN
from kexport.tasks.classes import THRESHOLD
from kexport.tasks.reading import Reading, described, from_logits, only

_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""The values of black and white after a function."""


def segment(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read a score for each class of each cell, [N, h, w, classes], or one score, [N, h, w, 1].

    The class with the largest number is the same before and after a softmax, so that several
    channels need no word on that.

    Raises:
        BadArgument: the output has another shape, or too many classes for a byte; there is no
            colour for each class; or a threshold is given for several channels.
    """
    output = only("segment", outputs)
    channels = output.channels
    if output.rank != 4 or channels is None:
        raise BadArgument(
            "segment needs scores of classes for each cell, [N, h, w, classes], and the model has "
            f"{described(outputs)}",
            hint="choose another `task.name`, or another output with `output_layers`",
        )
    if channels > UNSEEN:
        raise BadArgument(
            f"a mask has up to {UNSEEN} classes, and {output.name!r} has {channels}",
            hint="choose the task raw with `task.name`",
        )
    if channels > 1 and task.threshold is not None:
        raise BadArgument(
            f"a threshold is for masks of one channel, and {output.name!r} has {channels}",
            hint="leave out `task.threshold`",
        )
    classes = max(channels, 2)
    if task.palette and len(task.palette) != classes:
        raise BadArgument(
            f"`task.palette` has {len(task.palette)} colours, and the mask {classes} classes",
            hint="give a colour for each class, the first for class 0",
        )
    entry: dict[str, Any] = {
        "output": output.name,
        "from_logits": channels == 1 and from_logits(task, output),
        "threshold": None,
        "palette": [_rgb(color) for color in task.palette] or None,
    }
    if channels == 1:
        entry["threshold"] = THRESHOLD if task.threshold is None else task.threshold
    return Reading(entry, (1, 2) if channels == 1 else (channels,))


def image(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read an image, [N, h, w, 1 or 3].

    Raises:
        BadArgument: the output has another shape, or nothing tells its range.
    """
    output = only("image", outputs)
    if output.rank != 4 or output.channels not in (1, 3):
        raise BadArgument(
            f"image needs pixels, [N, h, w, 1] or [N, h, w, 3], and the model has "
            f"{described(outputs)}",
            hint="choose another `task.name`, or another output with `output_layers`",
        )
    known = _RANGES.get(output.activation or "") if task.range is None else task.range
    if known is None:
        raise BadArgument(
            f"the layer {output.layer!r} does not tell which values of {output.name!r} are black "
            "and white",
            hint="say so with `task.range`, such as `task.range=(0, 1)`",
        )
    return Reading({"output": output.name, "range": list(known)})


def _rgb(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]
