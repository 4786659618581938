"""From the outputs for one image to the answer of the bundle's task."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Union

from .classes import Classes, Decision, LabelSet, best_classes, decide, labels_above
from .errors import BadInput
from .regress import Numbers, RawOutputs, numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .task import Task

Answer = Union[Classes, Decision, LabelSet, Numbers, RawOutputs]
"""What `Session.predict` returns, by task: classify, binary, multilabel, regress, raw."""

TOP_K = 5
"""The default number of classes in an answer."""

USES = {
    "top_k": ("classify",),
    "threshold": ("binary", "multilabel"),
}
"""The tasks that have a use for each setting."""


@dataclass(frozen=True)
class Settings:
    """What a caller may change of an answer; None leaves it as the bundle has it.

    `top_k` is the number of classes (classify). `threshold` is the least score, from 0 to 1, that
    means yes (binary, multilabel).
    """

    top_k: int | None = None
    threshold: float | None = None


def check_settings(settings: Settings, task: Task) -> None:
    """Refuse a setting that is out of range, or that the task has no use for.

    Raises BadInput.
    """
    if settings.top_k is not None and settings.top_k < 1:
        raise BadInput(f"top_k must be 1 or more, not {settings.top_k}")
    if settings.threshold is not None and not 0 <= settings.threshold <= 1:
        raise BadInput(f"threshold must be from 0 to 1, not {settings.threshold:g}")
    for field in fields(settings):
        if getattr(settings, field.name) is not None and task.name not in USES[field.name]:
            users = " and ".join(USES[field.name])
            raise BadInput(
                f"{field.name} is for the task {users}, and this bundle's is {task.name}",
                hint=f"leave out {field.name}",
            )


def answer(
    task: Task,
    outputs: Mapping[str, NDArray[Any]],
    labels: Sequence[str] | None,
    settings: Settings,
) -> Answer:
    """Read the outputs of one sample, without the batch axis, by any task but a ranked classify."""
    if task.name == "raw":
        return RawOutputs(dict(outputs))
    if task.name == "regress":
        return numbers_of(outputs, task.outputs, labels)
    values, logits = outputs[task.output], bool(task.from_logits)
    if task.name == "classify":
        return Classes(tuple(best_classes(values, logits, labels, settings.top_k or TOP_K)))
    threshold = task.threshold if settings.threshold is None else settings.threshold
    if threshold is None:
        raise ValueError(f"the task {task.name} has no threshold")
    if task.name == "binary":
        return decide(values, logits, labels, threshold)
    return labels_above(values, logits, labels, threshold)
