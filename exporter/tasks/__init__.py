"""The task of an export: what its outputs are for, told by the user or found in the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kexport.errors import BadArgument
from kexport.options.task import Task, TaskName
from kexport.outputs import Output
from kexport.tasks.boxes import detect
from kexport.tasks.classes import binary, classify, multilabel
from kexport.tasks.infer import Evidence, infer
from kexport.tasks.numbers import embed, raw, regress
from kexport.tasks.pixels import image, segment
from kexport.tasks.reading import Reading

__all__ = ["Evidence", "Reading", "Resolved", "resolve"]

_TASKS: dict[TaskName, tuple[Callable[[Task, Sequence[Output]], Reading], frozenset[str]]] = {
    "classify": (classify, frozenset({"from_logits"})),
    "binary": (binary, frozenset({"from_logits", "threshold"})),
    "multilabel": (multilabel, frozenset({"from_logits", "threshold"})),
    "segment": (segment, frozenset({"from_logits", "threshold", "palette"})),
    "detect": (
        detect,
        frozenset({"from_logits", "threshold", "box_format", "box_units", "iou"}),
    ),
    "regress": (regress, frozenset()),
    "embed": (embed, frozenset()),
    "image": (image, frozenset({"range"})),
    "raw": (raw, frozenset()),
}
"""How each task reads a model's outputs, and the options that it has."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The task of an export.

    Attributes:
        entry: the manifest's entry `task`.
        outputs: the model's outputs, with the kinds that follow from the task.
        labels: the numbers of labels that fit.
    """

    entry: dict[str, Any]
    outputs: tuple[Output, ...]
    labels: tuple[int, ...]


def resolve(asked: Task, outputs: Sequence[Output], evidence: Evidence) -> Resolved:
    """Find the task, unless the user told it, and how it reads the model's outputs.

    Raises:
        BadArgument: the outputs do not suit the task, an option does not belong to it, or it has
            to be known whether an output is logits and nothing tells.
    """
    reason = None
    if asked.name is None:
        name, reason = infer(outputs, evidence)
        asked = replace(asked, name=name)
    else:
        name = asked.name
    read, options = _TASKS[name]
    for given in asked.given():
        if given not in options:
            users = [task for task, (_, known) in _TASKS.items() if given in known]
            raise BadArgument(
                f"`task.{given}` is for the tasks {', '.join(users)}, and this one is {name}",
                hint=f"leave it out, or choose one of them with `task.name`, as {users[0]}",
            )
    reading = read(asked, outputs)
    changed = {output.name: output for output in reading.changed}
    return Resolved(
        {"name": name, **reading.entry, "reason": reason},
        tuple(changed.get(output.name, output) for output in outputs),
        reading.labels,
    )
