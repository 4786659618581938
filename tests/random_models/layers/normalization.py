"""Random normalizations."""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from random_models.kind import (
    IMAGE,
    SERIES,
    VECTOR,
    VOLUME,
    Kind,
    Rng,
    chance,
    decades,
    pick,
)

ANY = (VECTOR, SERIES, IMAGE, VOLUME)


def batch(rng: Rng, x: Any) -> Any:
    """Apply a BatchNormalization."""
    return layers.BatchNormalization(
        center=chance(rng, 0.8), scale=chance(rng, 0.8), epsilon=_epsilon(rng)
    )(x)


def layer(rng: Rng, x: Any) -> Any:
    """Apply a LayerNormalization over the last axis, the last ones, or another."""
    last = len(x.shape) - 1
    axis = pick(rng, -1, -1, list(range(1, last + 1)), 1)
    _need_several(x, axis if isinstance(axis, list) else [axis])
    return layers.LayerNormalization(
        axis=axis, center=chance(rng, 0.8), scale=chance(rng, 0.8), epsilon=_epsilon(rng)
    )(x)


def group(rng: Rng, x: Any) -> Any:
    """Apply a GroupNormalization with a number of groups that divides the channels."""
    channels = int(x.shape[-1])
    groups = pick(rng, *(n for n in range(1, channels + 1) if channels % n == 0))
    if math.prod(x.shape[1:]) == groups:
        raise ValueError("every element is a group")
    return layers.GroupNormalization(
        groups, center=chance(rng, 0.8), scale=chance(rng, 0.8), epsilon=_epsilon(rng)
    )(x)


def root_mean_square(rng: Rng, x: Any) -> Any:
    """Apply an RMSNormalization."""
    _need_several(x, [-1])
    return layers.RMSNormalization(epsilon=_epsilon(rng))(x)


def unit(rng: Rng, x: Any) -> Any:
    """Apply a UnitNormalization."""
    axis = pick(rng, -1, 1)
    _need_several(x, [axis])
    return layers.UnitNormalization(axis=axis)(x)


def statistics(rng: Rng, x: Any) -> Any:
    """Apply a Normalization with statistics of six decades."""
    channels = int(x.shape[-1])
    return layers.Normalization(
        mean=(rng.normal(size=channels) * decades(rng, -2, 1)).tolist(),
        variance=decades(rng, -3, 3, [channels]).tolist(),
        invert=chance(rng, 0.3),
    )(x)


def _need_several(x: Any, axes: list[int]) -> None:
    """Refuse to normalize a single number, which gives its sign, or zero and what rounding adds."""
    if math.prod(x.shape[axis] for axis in axes) == 1:
        raise ValueError("one element is normalized")


def _epsilon(rng: Rng) -> float:
    return pick(rng, 1e-3, 1e-3, 1e-5, 1e-6)


KINDS = (
    Kind("BatchNormalization", "normalization", ANY, batch),
    Kind("LayerNormalization", "normalization", ANY, layer),
    Kind("GroupNormalization", "normalization", (SERIES, IMAGE, VOLUME), group),
    Kind("RMSNormalization", "normalization", ANY, root_mean_square),
    Kind("UnitNormalization", "normalization", ANY, unit),
    Kind("Normalization", "normalization", ANY, statistics),
)
