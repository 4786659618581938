"""Random dense layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, chance
from random_models.layers.activation import any_activation

ANY = (VECTOR, SERIES, IMAGE, VOLUME)


def dense(rng: Rng, x: Any) -> Any:
    """Apply a Dense to the last axis."""
    units = int(rng.integers(2, 9))
    return layers.Dense(units, activation=any_activation(rng), use_bias=chance(rng, 0.8))(x)


def einsum(rng: Rng, x: Any) -> Any:
    """Apply an EinsumDense to the last axis."""
    axes = "abcde"[: len(x.shape)]
    units = int(rng.integers(2, 6))
    shape = (*x.shape[1:-1], units)
    bias = "z" if chance(rng, 0.7) else None
    equation = f"{axes},{axes[-1]}z->{axes[:-1]}z"
    return layers.EinsumDense(equation, shape, bias_axes=bias)(x)


def distributed(rng: Rng, x: Any) -> Any:
    """Apply a Dense to every step."""
    units = int(rng.integers(2, 6))
    return layers.TimeDistributed(layers.Dense(units, activation=any_activation(rng)))(x)


def nested(rng: Rng, x: Any) -> Any:
    """Apply a Sequential model of two layers."""
    return keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Dense(int(rng.integers(2, 6)), activation=any_activation(rng)),
            layers.Dense(int(rng.integers(2, 6))),
        ]
    )(x)


KINDS = (
    Kind("Dense", "dense", ANY, dense),
    Kind("Sequential", "dense", ANY, nested),
    Kind("EinsumDense", "dense", (VECTOR, SERIES, IMAGE), einsum, traced=True),
    Kind("TimeDistributed", "dense", (SERIES,), distributed, traced=True),
)
