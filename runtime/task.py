"""Tasks: what a bundle's outputs are for, as the manifest's entry `task` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .manifest_schema import RANKED, SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .manifest import OutputSpec

LABELLED = ("classify", "binary", "multilabel")
"""Tasks whose answer is labels with scores."""


@dataclass(frozen=True)
class Task:
    """A task: its name, the outputs that it reads, and its other parameters as in the manifest.

    `from_logits` says that scores still need their softmax (classify) or sigmoid. `threshold` is
    the least score that means yes. Both are None for tasks that have no use for them. `palette` has
    the colours of a mask's classes, (red, green, blue), where the user chose some. `range` has the
    values that black and white have in an image. Boxes, which are the first of `outputs`, have a
    `box_format` (`detect.FORMATS`), and are `relative` to the model's frame or pixels of it; `iou`
    is the largest overlap of two of one class.
    """

    name: str
    outputs: tuple[str, ...] = ()
    from_logits: bool | None = None
    threshold: float | None = None
    palette: tuple[tuple[int, int, int], ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    iou: float = 0.5
    box_format: str = "xyxy"
    relative: bool = False

    @property
    def output(self) -> str:
        """The only output that the task reads."""
        return self.outputs[0]


def task_of(data: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Task:
    """Return the task of a manifest, given as parsed JSON that its schema allows.

    A bundle of an earlier kexport has no entry `task`. It is "classify" if an output has scores of
    classes, and "raw" otherwise.
    """
    entry = data.get("task")
    if entry is None:
        return _of_scores(outputs)
    names = entry.get("outputs") or [entry.get(key) for key in ("output", "boxes", "scores")]
    least, largest = entry.get("range") or (0.0, 1.0)
    return Task(
        name=entry["name"],
        outputs=tuple(name for name in names if name is not None),
        from_logits=entry.get("from_logits"),
        threshold=entry.get("threshold"),
        palette=tuple((r, g, b) for r, g, b in entry.get("palette") or ()),
        iou=entry.get("iou", 0.5),
        box_format=entry.get("format", "xyxy"),
        relative=entry.get("relative", False),
        range=(float(least), float(largest)),
    )


def require_task(task: Task, known: Sequence[str], what: str) -> None:
    """Refuse a task other than those in `known`; `what` says what was asked, and of which tasks.

    Raises BadInput.
    """
    if task.name not in known:
        raise BadInput(
            f"{what}, and this bundle's is {task.name}",
            hint="use predict(), which answers by the bundle's task",
        )


def _of_scores(outputs: Sequence[OutputSpec]) -> Task:
    ranked = {spec.kind: spec for spec in outputs if spec.kind in RANKED}
    if len(ranked) == len(RANKED):
        return Task("classify", (ranked["scores"].name,), ranked["scores"].of == "logits")
    for kind in SCORES:
        for spec in outputs:
            if spec.kind == kind and len(spec.shape) == 2:
                return Task("classify", (spec.name,), kind == "logits")
    return Task("raw")
