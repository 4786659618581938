"""Confidence intervals of measures, by drawing weights for the images.

Rubin, "The Bayesian bootstrap", The Annals of Statistics 9, 1981: where the bootstrap of Efron
("Bootstrap methods: another look at the jackknife", The Annals of Statistics 7, 1979) draws images
with replacement, this one gives each image a weight from an exponential distribution. Both give the
same interval for many images; with weights, no class is ever without an image.

Weights of images alone say that what none of them shows never happens. A measure of decisions, such
as F1, therefore has a few images of each kind that may be unseen, with weights of Jeffreys' prior,
the gamma distribution of shape 1/2: the shares of all kinds then have the Dirichlet distribution of
Goutte and Gaussier, "A probabilistic interpretation of precision, recall and F-score", ECIR 2005.
"""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array

DRAWS = 2000
"""The number of drawings: 25 of them lie beyond either end of an interval of 97.5 %."""

SEED = 0

CONFIDENCE = 0.95
"""The confidence of every interval that is shown, and of every decision that one makes."""


def draw_weights(images: int, unseen: int = 0, draws: int = DRAWS) -> Array:
    """Draw weights of images, and of unseen kinds of images; the same arguments give the same.

    Returns:
        float64 [draws, images + unseen]; only the ratios within a row mean anything.
    """
    rng = np.random.default_rng(SEED)
    seen = rng.standard_exponential((draws, images))
    return np.concatenate([seen, rng.standard_gamma(0.5, (draws, unseen))], axis=1)


def interval_of(values: Array, value: float, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of drawn values, widened to hold the `value` itself."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    return min(low, value), max(high, value)
