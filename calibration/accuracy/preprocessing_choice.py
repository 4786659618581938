"""Choice among preprocessings: with which of them is Keras right most often on labelled images?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.accuracy.intervals import difference_interval
from kexport.measures.resample import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Choice:
    """The best preprocessing, and those that may be as good."""

    best: str
    rivals: tuple[str, ...]
    """Those than which the best is not better for sure."""
    top1: Mapping[str, float]
    """The accuracy with each, the best first."""


def choose(right: Mapping[str, Array]) -> Choice:
    """Choose the preprocessing with the highest accuracy.

    Another is a rival unless the paired interval of the difference lies above zero
    (`difference_interval`), with a confidence for all others together (Bonferroni's inequality).
    Accuracy decides, and not the likelihood of the labels: a network that is too sure of itself has
    a higher likelihood on images of too little contrast.

    Args:
        right: for each preprocessing by name, whether Keras is right on each image.
    """
    top1 = {name: float(np.mean(found)) for name, found in right.items()}
    ranked = sorted(top1, key=lambda name: -top1[name])
    best, *others = ranked
    confidence = 1 - (1 - CONFIDENCE) / max(len(others), 1)
    rivals = tuple(name for name in others if not _is_better(right[best], right[name], confidence))
    return Choice(best, rivals, {name: top1[name] for name in ranked})


def _is_better(one: Array, other: Array, confidence: float) -> bool:
    gained, lost = (int(np.count_nonzero(x)) for x in (one & ~other, other & ~one))
    return difference_interval(gained, lost, len(one), confidence).low > 0
