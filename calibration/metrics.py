"""Quality metrics of a quantized model: SQNR, agreement with Keras, and accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.change_rate import predicted_change_rate, predicted_top1_drop
from kexport.measures.measure import Measured
from kexport.runtime.compare import top1_agreement


@dataclass(frozen=True, slots=True)
class Quality:
    """The metrics of a model on the evaluation images."""

    sqnr: float
    """Signal-to-quantization-noise ratio of the scores, in decibels."""
    agreement: float | None = None
    """Share of images whose best class is Keras', where the output has a score for each class."""
    top1: float | None = None
    """Share of images whose best class is their label, where labels are known."""
    top5: float | None = None
    """Share of images whose label is among the five best classes, where labels are known."""
    images: int = 0
    """The number of images that were evaluated."""
    lost: int = 0
    """Images that Keras classifies correctly and this model does not, where labels are known; else
    images whose best class is not Keras'."""
    gained: int = 0
    """Images that this model classifies correctly and Keras does not, where labels are known."""
    change_rate: float | None = None
    """Predicted share of images whose best class is not Keras' (`change_rate`)."""
    predicted_drop: float | None = None
    """Predicted loss of top-1 accuracy where labels are known; else the change rate."""
    measured: Measured | None = None
    """The measure of the task on labelled images, for tasks other than classify."""


def sqnr(reference: Array, candidate: Array) -> float:
    """Compute 10 log10(E[x^2] / E[(x - y)^2]) in decibels, over all elements, in float64.

    Infinite where the two are equal. (Signal-to-quantization-noise ratio, as in Nagel et al., "A
    White Paper on Neural Network Quantization", 2021, section 4.)
    """
    signal = reference.astype(np.float64)
    noise = float(np.mean(np.square(signal - candidate.astype(np.float64))))
    power = float(np.mean(np.square(signal)))
    return decibels(power, noise)


def decibels(power: float, noise: float) -> float:
    """Compute 10 log10(power / noise); infinite without noise."""
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0.0 else -math.inf


def class_quality(reference: Array, candidate: Array, labels: Array | None = None) -> Quality:
    """Compare the scores [N, classes] of a quantized model with Keras', and with labels [N].

    Each row of logits is centred by its mean first, which does not change its softmax.
    """
    exact, found = (
        scores - scores.mean(axis=-1, keepdims=True) for scores in (reference, candidate)
    )
    change_rate = predicted_change_rate(exact, found)
    best, wanted = candidate.argmax(axis=-1), reference.argmax(axis=-1)
    agreement = top1_agreement(candidate, reference)
    if labels is None:
        changed = int(np.count_nonzero(best != wanted))
        return Quality(
            sqnr(exact, found),
            agreement,
            images=len(candidate),
            lost=changed,
            change_rate=change_rate,
            predicted_drop=change_rate,
        )
    right, known = best == np.asarray(labels), wanted == np.asarray(labels)
    return Quality(
        sqnr(exact, found),
        agreement,
        top_k_accuracy(candidate, labels, 1),
        top_k_accuracy(candidate, labels, min(5, candidate.shape[-1])),
        images=len(candidate),
        lost=int(np.count_nonzero(known & ~right)),
        gained=int(np.count_nonzero(right & ~known)),
        change_rate=change_rate,
        predicted_drop=predicted_top1_drop(exact, found, np.asarray(labels)),
    )


def top_k_accuracy(scores: Array, labels: Array, k: int) -> float:
    """Compute the share of rows of `scores` [N, classes] whose label is among the `k` best."""
    best = np.argsort(-scores, axis=-1, kind="stable")[:, :k]
    return float(np.mean((best == np.asarray(labels)[:, np.newaxis]).any(axis=1)))
