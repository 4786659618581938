"""Outputs of a model, and the best classes of one of them (`--top-k`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument

T = TypeVar("T")

Kind = Literal["probabilities", "logits", "features", "tensor", "indices", "scores"]

Activation = Literal["softmax", "sigmoid", "tanh", "linear"]

SCORED = ("probabilities", "logits")
"""Kinds of outputs that have a score for every class."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model or of a bundle, as the manifest describes it.

    Attributes:
        name: its name in the graph.
        kind: how to read the numbers.
        layer: the Keras layer that makes it, or the model where that is subclassed.
        classes: length of a row of scores; None where a sample is not one row of numbers.
        of: for `indices` and `scores`, the kind of the output that they rank.
        activation: the function that it comes out of, "linear" for a layer with weights and no
            activation; None for any other.
        rank: the number of its axes, with the batch; None where it is not known.
        channels: the length of its last axis; None where it is open.
    """

    name: str
    kind: Kind
    layer: str
    classes: int | None = None
    of: Kind | None = None
    activation: Activation | None = None
    rank: int | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best `count` classes of `output`, which take its place."""

    output: Output
    count: int

    def replace(self, outputs: Sequence[Output]) -> tuple[Output, ...]:
        """Put `indices` and `scores` in the place of the output that is ranked."""
        ranked = self.output
        indices = Output("indices", "indices", ranked.layer, ranked.classes, of=ranked.kind)
        scores = Output("scores", "scores", ranked.layer, ranked.classes, of=ranked.kind)
        at = list(outputs).index(ranked)
        return (*outputs[:at], indices, scores, *outputs[at + 1 :])

    def name_of(self, name: str) -> str:
        """Return the name under which the bundle has the numbers of an output."""
        return "scores" if name == self.output.name else name

    def renamed(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifest's entry of a task with the bundle's name of the output it reads."""
        return {**task, "output": self.name_of(task["output"])}

    def rename(self, values: Mapping[str, T]) -> dict[str, T]:
        """Return values by output under the bundle's names."""
        return {self.name_of(name): value for name, value in values.items()}

    def golden(self, answers: Mapping[str, Array]) -> dict[str, Array]:
        """Return Keras' answers with the best classes as `indices` and all scores as `scores`.

        All scores are kept, because two classes may only change places where their scores are
        nearly equal.
        """
        rest = {name: array for name, array in answers.items() if name != self.output.name}
        scores = answers[self.output.name]
        best = np.argsort(-scores, axis=-1, kind="stable")[:, : self.count]
        return {**rest, "indices": best.astype(np.int64), "scores": scores}


def best_classes(outputs: Sequence[Output], count: int) -> Ranking:
    """Find the output whose `count` best classes are to be returned.

    Raises:
        BadArgument: no output, or more than one, has a score for every class, or it has fewer.
    """
    scored = [output for output in outputs if output.kind in SCORED and output.classes is not None]
    if len(scored) != 1:
        listed = ", ".join(f"{output.name} ({output.kind})" for output in outputs)
        raise BadArgument(
            f"the best classes need one output with scores, and {len(scored)} of the outputs have "
            f"scores: {listed}",
            hint="leave out `top_k`, or choose the classifier with `output_layers`",
        )
    (ranked,) = scored
    if ranked.classes is None or not 1 <= count <= ranked.classes:
        raise BadArgument(
            f"the best {count} classes cannot be taken of {ranked.name}, which has "
            f"{ranked.classes}",
            hint=f"give `top_k` a number from 1 to {ranked.classes}",
        )
    return Ranking(ranked, count)
