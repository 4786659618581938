"""Inputs and models of the tests of masks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from support import Array, normal, randomise

STEPS, FEATURES = 7, 4

PATTERNS = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1],
        [1, 0, 0, 1, 1, 0, 1],
        [0, 1, 1, 0, 1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0],
    ],
    bool,
)
"""Masks of sequences: none masked, all, padding right and left, in the middle, on both sides."""


def sequences(seed: int = 0, value: float = 0.0) -> Array:
    """Draw a sequence for each pattern, whose masked steps hold `value`."""
    x = normal(len(PATTERNS), STEPS, FEATURES, seed=seed)
    x[~PATTERNS] = value
    return x


def tokens(seed: int = 0) -> Array:
    """Draw token numbers from 1 to 8 for each pattern, with 0 in masked steps."""
    drawn = np.random.default_rng(seed).integers(1, 9, PATTERNS.shape)
    return (drawn * PATTERNS).astype(np.int32)


class Reveal(layers.Layer):
    """Turn the mask of its input into a number for each sample, -1 where there is none."""

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            return ops.sum(x, axis=tuple(range(1, len(x.shape)))) * 0.0 - 1.0
        flat = ops.cast(ops.reshape(mask, (-1, int(np.prod(mask.shape[1:])))), "float32")
        return ops.sum(flat * ops.cumsum(ops.ones_like(flat), axis=1), axis=1)

    def compute_output_spec(self, x: Any, mask: Any = None) -> Any:
        return keras.KerasTensor((x.shape[0],))


def sequential(*after: Any) -> keras.Model:
    """Build a Sequential model that masks steps of zeros."""
    first = [keras.Input((STEPS, FEATURES)), layers.Masking()]
    return randomise(keras.Sequential([*first, *after]))


def functional(build: Any) -> keras.Model:
    """Build a functional model of what `build` makes of a masked sequence."""
    x = keras.Input((STEPS, FEATURES))
    return randomise(keras.Model(x, build(layers.Masking()(x))))
