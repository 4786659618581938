"""Labels as answers: the best classes, yes or no, or every label that applies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .compare import softmax
from .labels import Prediction, ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Labels = Sequence[str] | None


@dataclass(frozen=True)
class Classes:
    """The best classes of an image, best first (task classify)."""

    predictions: tuple[Prediction, ...]

    columns = ("label", "score")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each class, in the order of `columns`."""
        return [(found.label, f"{found.score:.4f}") for found in self.predictions]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {"predictions": [asdict(found) for found in self.predictions]}


@dataclass(frozen=True)
class Decision:
    """Yes or no (task binary).

    `score` is that of yes, from 0 to 1; `positive` says whether it reaches `threshold`, and `label`
    is the label of that answer. `index` is 1 for yes and 0 for no.
    """

    label: str
    positive: bool
    score: float
    threshold: float

    columns = ("label", "score", "threshold")

    @property
    def index(self) -> int:
        """The index of the answer's label."""
        return int(self.positive)

    def rows(self) -> list[tuple[str, ...]]:
        """Return one row of texts, in the order of `columns`."""
        return [(self.label, f"{self.score:.4f}", f"{self.threshold:g}")]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {"decision": {"index": self.index, **asdict(self)}}


@dataclass(frozen=True)
class LabelSet:
    """Every label whose score reaches `threshold`, best first (task multilabel)."""

    labels: tuple[Prediction, ...]
    threshold: float

    columns = ("label", "score")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each label, in the order of `columns`; one if there is none."""
        if not self.labels:
            return [("none", f"no score of {self.threshold:g} or more")]
        return [(found.label, f"{found.score:.4f}") for found in self.labels]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {
            "labels": [asdict(found) for found in self.labels],
            "threshold": self.threshold,
        }


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), in float64; large numbers do not overflow."""
    powers = np.exp(-np.abs(logits.astype(np.float64)))
    scores: NDArray[np.float64] = np.where(logits >= 0, 1.0, powers) / (1.0 + powers)
    return scores


def best_classes(
    values: NDArray[Any], from_logits: bool, labels: Labels, count: int
) -> list[Prediction]:
    """Return the `count` best classes of [classes], best first; scores are after a softmax."""
    return ranked(softmax(values) if from_logits else values, labels, count)


def yes_and_no(values: NDArray[Any], from_logits: bool, labels: Labels) -> list[Prediction]:
    """Return both answers of [1], the better first, with scores that add up to 1."""
    score = float(_scores(values, from_logits)[0])
    no, yes = answers_of(labels)
    found = [Prediction(1, yes, score), Prediction(0, no, 1.0 - score)]
    return found if score >= 0.5 else found[::-1]


def decide(values: NDArray[Any], from_logits: bool, labels: Labels, threshold: float) -> Decision:
    """Return yes where the score in [1] is `threshold` or more."""
    score = float(_scores(values, from_logits)[0])
    positive = score >= threshold
    return Decision(answers_of(labels)[positive], positive, score, threshold)


def all_labels(values: NDArray[Any], from_logits: bool, labels: Labels) -> list[Prediction]:
    """Return every label of [labels] with its score, best first."""
    return ranked(_scores(values, from_logits), labels, len(values))


def labels_above(
    values: NDArray[Any], from_logits: bool, labels: Labels, threshold: float
) -> LabelSet:
    """Return the labels of [labels] whose score is `threshold` or more, best first."""
    found = all_labels(values, from_logits, labels)
    return LabelSet(tuple(one for one in found if one.score >= threshold), threshold)


def _scores(values: NDArray[Any], from_logits: bool) -> NDArray[np.float64]:
    return sigmoid(values) if from_logits else values.astype(np.float64)


def answers_of(labels: Labels) -> tuple[str, str]:
    """Return the labels of no and yes; a single label is that of yes."""
    if labels is None:
        return "no", "yes"
    return (f"not {labels[0]}", labels[0]) if len(labels) == 1 else (labels[0], labels[1])
