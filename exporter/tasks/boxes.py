"""Tasks whose answer is boxes: detect."""

from __future__ import annotations

from collections.abc import Sequence

from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import Output
from kexport.tasks.classes import THRESHOLD
from kexport.tasks.reading import Reading, described, from_logits

IOU = 0.5
"""The overlap from which PASCAL VOC counts a box as the same object."""


def detect(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read boxes [N, boxes, 4] and scores [N, boxes, classes], in one output or in two.

    A single box for an image is [N, 4] and [N, classes]. In one output, the first four numbers are
    the box, and the others the scores.

    Raises:
        BadArgument: the outputs have another shape, or the format or the unit of the boxes is not
            given.
    """
    boxes, scores, classes = _found(outputs)
    if task.box_format is None or task.box_units is None:
        raise BadArgument(
            "nothing in a model tells how its boxes are written",
            hint="give `task.box_format` and `task.box_units`, such as cxcywh and relative",
        )
    return Reading(
        {
            "boxes": boxes.name,
            "scores": scores.name,
            "format": task.box_format,
            "relative": task.box_units == "relative",
            "from_logits": from_logits(task, scores),
            "threshold": THRESHOLD if task.threshold is None else task.threshold,
            "iou": IOU if task.iou is None else task.iou,
        },
        (classes,),
    )


def _found(outputs: Sequence[Output]) -> tuple[Output, Output, int]:
    """Return the output with the boxes, that with the scores, and the number of classes."""
    ranks = {output.rank for output in outputs}
    widths = [output.channels or 0 for output in outputs]
    if len(outputs) == 1 and ranks <= {2, 3} and widths[0] > 4:
        return outputs[0], outputs[0], widths[0] - 4
    if len(outputs) == 2 and ranks in ({2}, {3}):
        four = [output for output in outputs if output.channels == 4]
        named = [output for output in four if "box" in output.name.lower()]
        (boxes,) = four if len(four) == 1 else named if len(named) == 1 else (None,)
        if boxes is not None:
            (scores,) = (output for output in outputs if output is not boxes)
            if scores.channels:
                return boxes, scores, scores.channels
    raise BadArgument(
        "detect needs boxes [N, boxes, 4] and scores [N, boxes, classes], or both side by side in "
        f"one output, and the model has {described(outputs)}",
        hint="give both in this form, the boxes from a layer with 'box' in its name",
    )
