"""How much of a model is left after quantisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.runtime.compare import top1_agreement


@dataclass(frozen=True, slots=True)
class Quality:
    """The quantised model beside Keras, on images that calibration has not seen."""

    sqnr: float
    """Signal-to-quantisation-noise ratio of the scores, decibels."""
    agreement: float | None = None
    """Share of images whose best class is Keras', where the output has a score for each class."""
    top1: float | None = None
    """Share of images whose best class is their label, where labels are known."""
    top5: float | None = None
    """Share of images whose label is among the five best classes, where labels are known."""


def sqnr(reference: Array, candidate: Array) -> float:
    """10 log10(E[x^2] / E[(x - y)^2]) in decibels, of all elements, in float64.

    Infinite where the two are equal. (Signal over quantisation noise, as in Nagel et al., "A White
    Paper on Neural Network Quantization", 2021, section 4.)
    """
    signal = reference.astype(np.float64)
    noise = float(np.mean(np.square(signal - candidate.astype(np.float64))))
    power = float(np.mean(np.square(signal)))
    return decibels(power, noise)


def decibels(power: float, noise: float) -> float:
    """10 log10(power / noise); infinite without noise."""
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0.0 else -math.inf


def class_quality(reference: Array, candidate: Array, labels: Array | None = None) -> Quality:
    """Compare scores [N, classes] of Keras and of the quantised model, and labels [N] if known.

    Logits are centred first, each row by its mean, which no softmax sees.
    """
    centred = [scores - scores.mean(axis=-1, keepdims=True) for scores in (reference, candidate)]
    ranks = (1, min(5, candidate.shape[-1]))
    known = [None if labels is None else among_best(candidate, labels, rank) for rank in ranks]
    return Quality(sqnr(*centred), top1_agreement(candidate, reference), *known)


def among_best(scores: Array, labels: Array, count: int) -> float:
    """Share of rows of `scores` [N, classes] whose label is among the `count` best classes."""
    best = np.argsort(-scores, axis=-1, kind="stable")[:, :count]
    return float(np.mean((best == np.asarray(labels)[:, np.newaxis]).any(axis=1)))
