"""What the outputs of a bundle are, and which of them the best classes are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument

SCORED = ("probabilities", "logits")
"""Kinds of outputs that have a score for every class."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An output of a bundle.

    `kind` and `layer` as in the manifest. `classes` is how many numbers a row has that can be
    ranked, None for any other output; `of` is the kind of what was ranked, for `indices` and
    `scores`.
    """

    name: str
    kind: str
    layer: str
    classes: int | None = None
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best `count` classes of one output in its place."""

    output: Shown
    count: int

    def shown(self, outputs: Sequence[Shown]) -> tuple[Shown, ...]:
        """The outputs with `indices` and `scores` in the place of the one that is ranked."""
        ranked = self.output
        both = [
            Shown(kind, kind, ranked.layer, ranked.classes, of=ranked.kind)
            for kind in ("indices", "scores")
        ]
        at = list(outputs).index(ranked)
        return (*outputs[:at], *both, *outputs[at + 1 :])

    def golden(self, answers: Mapping[str, Array]) -> dict[str, Array]:
        """Keras' answers: under `scores` those of all classes, and under `indices` the best.

        Whether two classes may change places can only be judged by the scores of all.
        """
        rest = {name: array for name, array in answers.items() if name != self.output.name}
        scores = answers[self.output.name]
        best = np.argsort(-scores, axis=-1, kind="stable")[:, : self.count]
        return {**rest, "indices": best.astype(np.int64), "scores": scores}


def best_classes(outputs: Sequence[Shown], count: int) -> Ranking:
    """Find out what `count` best classes are of.

    Raises:
        BadArgument: no output, or more than one, has a score for every class, or it has fewer.
    """
    scored = [shown for shown in outputs if shown.kind in SCORED and shown.classes is not None]
    if len(scored) != 1:
        listed = ", ".join(f"{shown.name} ({shown.kind})" for shown in outputs)
        raise BadArgument(
            f"the best classes are asked for, and {len(scored)} outputs score classes: {listed}",
            hint="leave out `top_k`, or choose the classifier with `output_layers`",
        )
    (ranked,) = scored
    if ranked.classes is None or not 1 <= count <= ranked.classes:
        raise BadArgument(
            f"the {count} best classes are asked for, and {ranked.name} has {ranked.classes}",
            hint=f"give `top_k` a number from 1 to {ranked.classes}",
        )
    return Ranking(ranked, count)
