"""How a task reads the outputs of a model, and the checks that tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import Output


@dataclass(frozen=True, slots=True)
class Reading:
    """How a task reads the outputs.

    Attributes:
        entry: the task's parameters in the manifest.
        labels: the numbers of labels that fit.
        changed: outputs whose kind the task tells.
    """

    entry: dict[str, Any] = field(default_factory=dict)
    labels: tuple[int, ...] = ()
    changed: tuple[Output, ...] = ()


def described(outputs: Sequence[Output]) -> str:
    """List outputs with the axes that are known, as `box [N, 4], score (4 axes)`."""
    return ", ".join(map(_described, outputs))


def only(task: str, outputs: Sequence[Output]) -> Output:
    """Return the output that a task reads.

    Raises:
        BadArgument: there are several.
    """
    if len(outputs) != 1:
        raise BadArgument(
            f"the task {task} reads one output, and the model has {described(outputs)}",
            hint="choose the layer that makes it with `output_layers`",
        )
    return outputs[0]


def from_logits(task: Task, output: Output) -> bool:
    """Return whether the numbers of an output are logits, before a softmax or sigmoid.

    Raises:
        BadArgument: neither the user nor the last layer tells.
    """
    if task.from_logits is not None:
        return task.from_logits
    if output.kind == "logits" or output.activation == "linear":
        return True
    if output.activation in ("softmax", "sigmoid"):
        return False
    raise BadArgument(
        f"the layer {output.layer!r} does not tell whether {output.name!r} is scores from 0 to 1, "
        "or logits",
        hint="say so with `task.from_logits`",
    )


def _described(output: Output) -> str:
    if output.classes is not None:
        return f"{output.name} [N, {output.classes}]"
    return output.name if output.rank is None else f"{output.name} ({output.rank} axes)"
