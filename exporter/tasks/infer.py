"""Which task a model is for, where its layers or the user's arguments leave no doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexport.options.task import TaskName
from kexport.outputs import Output
from kexport.tasks.classes import is_scored


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a user gave that tells of the task.

    Attributes:
        labels: the number of labels; None without.
        ranked: whether the best classes are to be returned.
        labelled: whether there are images with their classes to judge the model on.
    """

    labels: int | None = None
    ranked: bool = False
    labelled: bool = False


def infer(outputs: Sequence[Output], evidence: Evidence) -> tuple[TaskName, str]:
    """Return the task, and what tells it; "raw" where nothing does.

    A layer without activation is no evidence: its numbers may be logits, coordinates or a price.
    They are logits where the user gave a label for each of them, or asked for their best classes.
    """
    scored = next((output for output in outputs if is_scored(output)), None)
    if scored is not None:
        source = "softmax" if scored.kind == "probabilities" else "logits"
        return "classify", f"the {source} of {scored.name!r}"
    if len(outputs) == 1 and outputs[0].classes is not None:
        output, numbers = outputs[0], outputs[0].classes
        linear = output.activation == "linear"
        if numbers == 1 and output.activation == "sigmoid":
            return "binary", f"the sigmoid of {output.name!r}, one number"
        if numbers == 1 and linear and evidence.labels == 2:
            return "binary", f"the two labels, and the one number of {output.name!r}"
        if numbers > 1 and linear and evidence.labels == numbers:
            return "classify", f"the labels, one for each number of {output.name!r}"
        if numbers > 1 and linear and evidence.ranked:
            return "classify", f"the best classes that are asked of {output.name!r}"
        if numbers > 1 and linear and evidence.labelled:
            return "classify", f"the labelled images that {output.name!r} is judged on"
    return "raw", "nothing tells what the outputs mean"
