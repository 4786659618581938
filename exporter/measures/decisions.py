"""Measures of yes and no at a threshold: tasks binary and multilabel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.measures.ranking import area_under_roc, average_precision
from kexport.measures.resample import DRAWS
from kexport.runtime.classes import Decision, LabelSet

KINDS = 4
"""Kinds of images in which Keras and another model differ about a label: it is right or wrong, and
either of the two says yes."""

LEAST_SCORE = 1e-7
"""The resolution of float32 near 1."""


class Scored(NamedTuple):
    """What is kept of an answer: the score and the decision for each label, and the truth."""

    scores: Array
    yes: Array
    truth: Array


@dataclass(frozen=True, slots=True)
class Decisions:
    """F1 of decisions: its mean over the labels that some image has.

    F1 = 2 TP / (2 TP + FP + FN) (C. van Rijsbergen, "Information Retrieval", 1979, chapter 7).
    """

    truths: Array
    """Whether each image has each label, bool [images, labels]; one label for yes or no."""
    threshold: float
    """The least score that means yes."""

    draws = DRAWS

    @property
    def name(self) -> str:
        """The name of the deciding measure."""
        return "f1" if self.truths.shape[1] == 1 else "mean_f1"

    @property
    def unseen(self) -> int:
        """The number of kinds of images that may be unseen: for each label those that differ."""
        return KINDS * int(self.truths.shape[1])

    def keep(self, answer: Decision | LabelSet, row: int) -> Scored:
        """Return scores, decisions and truth of one image; the answer has every label's score."""
        truth = self.truths[row]
        if isinstance(answer, Decision):
            scores = np.array([answer.score])
        else:
            scores = np.zeros(len(truth))
            for one in answer.labels:
                scores[one.index] = one.score
        return Scored(scores, scores >= self.threshold, truth)

    def values(self, kept: Sequence[Scored], weights: Array) -> Array:
        """Compute F1 for weights of the images, [draws]."""
        missed, _, alarm, _ = self._unseen(weights, len(kept))
        return self._f1(kept, weights, np.zeros_like(missed), missed + alarm)

    def drops(self, keras: Sequence[Scored], other: Sequence[Scored], weights: Array) -> Array:
        """Compute what the other loses of Keras' F1, [draws]."""
        missed, found, alarm, quiet = self._unseen(weights, len(keras))
        differ = missed + found
        return self._f1(keras, weights, missed, differ + missed + quiet) - self._f1(
            other, weights, found, differ + found + alarm
        )

    def _unseen(self, weights: Array, images: int) -> Array:
        """Return the weights of unseen kinds, [KINDS, draws, labels]: zeros if there are none.

        The kinds are: only Keras finds the label; only the other does; the other alone says yes
        without reason; Keras alone does.
        """
        rest = weights[:, images:].reshape(len(weights), -1, KINDS)
        if not rest.size:
            rest = np.zeros((len(weights), self.truths.shape[1], KINDS))
        return np.moveaxis(rest, 2, 0)

    def _f1(self, kept: Sequence[Scored], weights: Array, both: Array, marked: Array) -> Array:
        """Compute F1 with more weight, [draws, labels], for TP and for 2 TP + FP + FN."""
        _, yes, truth = _stacked(kept)
        seen, counted = weights[:, : len(kept)], _has_some(truth)
        if not counted.any():
            return np.zeros(len(weights))
        both = both + seen @ (yes & truth)
        marked = marked + seen @ (1.0 * yes + truth)
        return np.asarray((2 * both[:, counted] / marked[:, counted]).mean(axis=1))

    def summary(self, kept: Sequence[Scored]) -> dict[str, float]:
        """Compute F1 and, of yes or no, the area under the ROC curve and the accuracy; of several
        labels the mean average precision over those that some image has.

        Raises:
            BadArgument: no image has any of the labels, or of yes or no all have the same answer.
        """
        scores, yes, truth = _stacked(kept)
        has_some = _has_some(truth)
        if not has_some.any() or (len(has_some) == 1 and truth.all()):
            raise BadArgument(
                f"the {len(kept)} labelled images that are used all have the same truth",
                hint="give `calibration.eval_data` with images of every label",
            )
        f1 = float(self.values(kept, np.ones((1, len(kept))))[0])
        if len(has_some) == 1:
            return {
                "f1": f1,
                "auc": area_under_roc(scores[:, 0], truth[:, 0]),
                "accuracy": float(np.mean(yes == truth)),
            }
        precisions = [
            average_precision(scores[:, label], truth[:, label])
            for label in np.flatnonzero(has_some)
        ]
        return {"mean_f1": f1, "map": float(np.mean(precisions))}

    def predicted_drop(self, keras: Sequence[Scored], other: Sequence[Scored]) -> float:
        """Predict the loss of F1 from the distance of Keras' scores to the threshold.

        A decision changes with the probability that noise exceeds this distance, both on the scale
        of logits. The noise of a label is normal, and as large as the differences of its scores.
        """
        _, yes, truth = _stacked(keras)
        margins = np.abs(_logits(_stacked(keras)[0]) - _logits(np.array(self.threshold)))
        moved = _logits(_stacked(other)[0]) - _logits(_stacked(keras)[0])
        noise = np.sqrt(np.mean(np.square(moved), axis=0))
        ratio = np.divide(margins, noise, out=np.full_like(margins, np.inf), where=noise > 0)
        changed = _beyond(ratio)
        expected = np.where(yes, 1 - changed, changed)
        counted = _has_some(truth)
        if not counted.any():
            return 0.0
        f1 = [
            2 * (said * truth).sum(axis=0)[counted] / (said + truth).sum(axis=0)[counted]
            for said in (1.0 * yes, expected)
        ]
        return float(np.mean(f1[0] - f1[1]))

    def doubt(self, kept: Sequence[Scored]) -> str | None:
        """Say that nothing is found, or that no scores are higher than those of yes."""
        _, yes, truth = _stacked(kept)
        if not (yes & truth).any():
            return f"finds none of the {int(truth.sum())} labels that the images have"
        if self.summary(kept).get("auc", 1.0) <= 0.5:
            return "gives the images of no scores as high as those of yes"
        return None


def _stacked(kept: Sequence[Scored]) -> tuple[Array, Array, Array]:
    """Return scores, decisions and truths as arrays, [images, labels]."""
    scores, yes, truth = zip(*kept, strict=True)
    return np.stack(scores), np.stack(yes), np.stack(truth)


def _has_some(truth: Array) -> Array:
    """Return which labels some image has, bool [labels]."""
    return np.asarray(truth.any(axis=0))


def _logits(scores: Array) -> Array:
    """Compute log(p / (1 - p)); scores that are rounded to 0 or 1 count as the nearest ones."""
    near = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    return np.asarray(np.log(near / (1 - near)))


def _beyond(ratios: Array) -> Array:
    """Return how often a standard normal number exceeds each of some ratios."""
    found = [math.erfc(ratio / math.sqrt(2)) / 2 for ratio in ratios.ravel().tolist()]
    return np.array(found).reshape(ratios.shape)
