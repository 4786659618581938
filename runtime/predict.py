"""From the outputs for one image to the answer of the bundle's task."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Union

from .classes import Classes, Decision, LabelSet, decide, labels_above
from .detect import Boxes, boxes_of
from .embed import Embedding, Gallery, embedding_of
from .errors import BadInput
from .output_image import OutputImage, image_of
from .regress import Numbers, RawOutputs, numbers_of
from .segment import Mask, mask_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .placement import Placement
    from .task import Task

Answer = Union[
    Classes, Decision, LabelSet, Mask, Boxes, Numbers, Embedding, OutputImage, RawOutputs
]
"""What `Session.predict` returns, by task: classify, binary, multilabel, segment, detect, regress,
embed, image, raw."""

TOP_K = 5
"""The default number of classes in an answer."""

USES = {
    "top_k": ("classify", "embed"),
    "threshold": ("binary", "multilabel", "segment", "detect"),
    "iou": ("detect",),
    "gallery": ("embed",),
}
"""The tasks that have a use for each setting."""


@dataclass(frozen=True)
class Settings:
    """What a caller may change of an answer; None leaves it as the bundle has it.

    `top_k` is the number of classes (classify) or neighbours (embed). `threshold` is the least
    score, from 0 to 1, that means yes (binary, multilabel, detect, and segment with one channel).
    `gallery` has the images among which the nearest are found (embed). `iou` is the largest overlap
    of two boxes of one class, from 0 to 1 (detect).
    """

    top_k: int | None = None
    threshold: float | None = None
    gallery: Gallery | None = None
    iou: float | None = None


def check_settings(settings: Settings, task: Task) -> None:
    """Refuse a setting that is out of range, or that the task has no use for.

    Raises BadInput.
    """
    if settings.threshold is not None and task.name == "segment" and task.threshold is None:
        raise BadInput(
            "threshold is for masks of one channel, and this bundle's has a channel for each class",
            hint="leave out threshold",
        )
    if settings.top_k is not None and settings.top_k < 1:
        raise BadInput(f"top_k must be 1 or more, not {settings.top_k}")
    if settings.threshold is not None and not 0 <= settings.threshold <= 1:
        raise BadInput(f"threshold must be from 0 to 1, not {settings.threshold:g}")
    if settings.iou is not None and not 0 <= settings.iou <= 1:
        raise BadInput(f"iou must be from 0 to 1, not {settings.iou:g}")
    for field in fields(settings):
        if getattr(settings, field.name) is not None and task.name not in USES[field.name]:
            users = " or ".join(USES[field.name])
            raise BadInput(
                f"{field.name} is for the task {users}, and this bundle's is {task.name}",
                hint=f"leave out {field.name}",
            )


def answer(
    task: Task,
    outputs: Mapping[str, NDArray[Any]],
    labels: Sequence[str] | None,
    settings: Settings,
    placement: Placement | None,
) -> Answer:
    """Read the outputs of one sample, without the batch axis, by any task but classify.

    Masks and boxes are laid on an image as `placement` says; it is None for a model of no image.

    Raises BadInput for a mask or boxes without an image.
    """
    if task.name == "raw":
        return RawOutputs(dict(outputs))
    if task.name == "regress":
        return numbers_of(outputs, task.outputs, labels)
    if task.name == "embed":
        return embedding_of(outputs[task.output], settings.gallery, settings.top_k)
    if task.name == "image":
        return image_of(outputs[task.output], *task.range)
    if task.name == "detect":
        return _objects(task, outputs, labels, settings, _needed(placement, task))
    values, logits = outputs[task.output], bool(task.from_logits)
    threshold = settings.threshold if settings.threshold is not None else task.threshold or 0.0
    if task.name == "segment":
        return mask_of(values, task, labels, threshold, _needed(placement, task))
    if task.name == "binary":
        return decide(values, logits, labels, threshold)
    return labels_above(values, logits, labels, threshold)


def _needed(placement: Placement | None, task: Task) -> Placement:
    if placement is None:
        raise BadInput(
            f"the task {task.name} lays its answer on an image, and the model takes none",
            hint="use run(), which takes and returns arrays",
        )
    return placement


def _objects(
    task: Task,
    outputs: Mapping[str, NDArray[Any]],
    labels: Sequence[str] | None,
    settings: Settings,
    placement: Placement,
) -> Boxes:
    boxes, scores = outputs[task.outputs[0]], outputs[task.outputs[1]]
    if task.outputs[0] == task.outputs[1]:
        boxes, scores = boxes[..., :4], boxes[..., 4:]
    threshold = task.threshold if settings.threshold is None else settings.threshold
    iou = task.iou if settings.iou is None else settings.iou
    return boxes_of(boxes, scores, task, labels, threshold or 0.0, iou, placement)
