"""Tasks whose answer is numbers as they are: regress, raw."""

from __future__ import annotations

from collections.abc import Sequence

from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import Output
from kexport.tasks.reading import Reading, described, only


def regress(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read the numbers of every output, [N, numbers]; there may be a label for each number.

    Raises:
        BadArgument: an output has another shape.
    """
    del task
    widths = [output.classes for output in outputs if output.classes is not None]
    if len(widths) != len(outputs):
        raise BadArgument(
            f"regress needs rows of numbers, [N, numbers], and the model has {described(outputs)}",
            hint="choose another `task.name`, or other outputs with `output_layers`",
        )
    return Reading({"outputs": [output.name for output in outputs]}, (sum(widths),))


def embed(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read the only output as a vector, [N, numbers].

    Raises:
        BadArgument: the output has another shape.
    """
    del task
    output = only("embed", outputs)
    if output.classes is None:
        raise BadArgument(
            f"embed needs one vector a sample, [N, numbers], and the model has "
            f"{described(outputs)}",
            hint="add a pooling layer, or choose another output with `output_layers`",
        )
    return Reading({"output": output.name})


def raw(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read arrays, whatever they mean."""
    del task, outputs
    return Reading()
