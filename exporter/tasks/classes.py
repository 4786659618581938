"""Tasks whose answer is classes or labels: classify, binary, multilabel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import SCORED, Output
from kexport.tasks.reading import Reading, described, from_logits, only

THRESHOLD = 0.5
"""Keras' own default, as in `keras.metrics.BinaryAccuracy`."""


def classify(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read the scores of classes, [N, classes]: the first output of a softmax, or the only output.

    Raises:
        BadArgument: no output has a score for each of at least two classes.
    """
    scored = next((one for one in outputs if is_scored(one) and task.from_logits is None), None)
    output = scored or only("classify", outputs)
    if scored is None and (output.classes is None or output.classes < 2):
        raise BadArgument(
            f"classify needs scores [N, classes], and the model has {described(outputs)}",
            hint="choose binary for one number, or another `task.name`",
        )
    logits = from_logits(task, output)
    kind = output.kind
    if logits:
        kind = "logits"
    elif output.activation == "softmax":
        kind = "probabilities"
    entry = {"output": output.name, "from_logits": logits}
    return Reading(entry, (output.classes or 1,), (replace(output, kind=kind),))


def binary(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read one score a sample, [N, 1].

    Raises:
        BadArgument: the output has another shape.
    """
    output = only("binary", outputs)
    if output.classes != 1:
        raise BadArgument(
            f"binary needs one number a sample, [N, 1], and the model has {described(outputs)}",
            hint="choose classify or multilabel for several, with `task.name`",
        )
    return Reading(_thresholded(task, output), (1, 2))


def multilabel(task: Task, outputs: Sequence[Output]) -> Reading:
    """Read a score for each label, [N, labels].

    Raises:
        BadArgument: the output has another shape, or is a softmax, whose scores add up to 1.
    """
    output = only("multilabel", outputs)
    if output.classes is None or output.kind == "probabilities":
        raise BadArgument(
            "multilabel needs a score of its own for each label, [N, labels], and the model has "
            f"{'a softmax' if output.kind == 'probabilities' else described(outputs)}",
            hint="choose another `task.name`, or another output with `output_layers`",
        )
    return Reading(_thresholded(task, output), (output.classes,))


def is_scored(output: Output) -> bool:
    """Tell whether an output is known to have a score for each class."""
    return output.kind in SCORED and output.classes is not None


def _thresholded(task: Task, output: Output) -> dict[str, object]:
    return {
        "output": output.name,
        "from_logits": from_logits(task, output),
        "threshold": THRESHOLD if task.threshold is None else task.threshold,
    }
