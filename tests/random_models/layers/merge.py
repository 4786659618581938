"""Random branches of a model, and the layers that merge them."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from random_models.kind import (
    IMAGE,
    SERIES,
    VECTOR,
    VOLUME,
    Kind,
    Rng,
    chance,
    layer_of,
    pick,
)
from random_models.layers.activation import any_activation

ANY = (VECTOR, SERIES, IMAGE, VOLUME)


def branch(rng: Rng, x: Any) -> Any:
    """Continue `x` with one or two layers that keep its shape."""
    for _ in range(int(rng.integers(1, 3))):
        x = _kept(rng, x)
    return x


def _kept(rng: Rng, x: Any) -> Any:
    channels = int(x.shape[-1])
    options = [
        lambda: layers.Dense(channels, activation=any_activation(rng))(x),
        lambda: layers.Activation(any_activation(rng) or "tanh")(x),
        lambda: layers.BatchNormalization()(x),
        lambda: layers.Rescaling(float(rng.normal()), float(rng.normal()))(x),
    ]
    if len(x.shape) > 2:
        options.append(
            lambda: layer_of("Conv", x)(
                channels, int(rng.integers(1, 4)), padding="same", activation=any_activation(rng)
            )(x)
        )
    return pick(rng, *options)()


def merged(kind: Any) -> Any:
    """Make a merge of a tensor, or of one branch of it, with one or two branches."""

    def apply(rng: Rng, x: Any) -> Any:
        parts = [x if chance(rng, 0.6) else branch(rng, x), branch(rng, x)]
        if kind is not layers.Subtract and chance(rng, 0.2):
            parts.append(branch(rng, x))
        if chance(rng, 0.3):
            parts.reverse()
        return kind()(parts)

    return apply


def concatenated(rng: Rng, x: Any) -> Any:
    """Concatenate a tensor and a branch along any axis."""
    axis = pick(rng, -1, -1, *range(1, len(x.shape)))
    return layers.Concatenate(axis=axis)([x, branch(rng, x)])


def joined_by_operation(rng: Rng, x: Any) -> Any:
    """Concatenate with keras.ops."""
    return ops.concatenate([branch(rng, x), x], axis=pick(rng, *range(1, len(x.shape))))


def dot(rng: Rng, x: Any) -> Any:
    """Multiply a tensor and a branch of it along one axis."""
    axis = 1 if len(x.shape) == 2 else pick(rng, 1, 2)
    return layers.Dot(axis, normalize=chance(rng, 0.4))([x, branch(rng, x)])


def quotient(rng: Rng, x: Any) -> Any:
    """Divide a tensor by a positive branch."""
    return ops.divide(x, ops.abs(branch(rng, x)) + 0.5)


def gate(rng: Rng, x: Any) -> Any:
    """Scale channels by what the whole picture holds, as squeeze and excitation does."""
    pooled = layer_of("GlobalAveragePooling", x)(keepdims=True)(x)
    inner = layers.Dense(3, activation="relu")(pooled)
    weights = layers.Dense(int(x.shape[-1]), activation=pick(rng, "sigmoid", "hard_sigmoid"))(inner)
    return layers.Multiply()([x, weights])


MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")

KINDS = (
    *(Kind(name, "merge", ANY, merged(getattr(layers, name))) for name in MERGES),
    Kind("Concatenate", "merge", ANY, concatenated),
    Kind("ops.concatenate", "merge", ANY, joined_by_operation),
    Kind("Dot", "merge", (VECTOR, SERIES), dot),
    Kind("ops.divide", "merge", ANY, quotient),
    Kind("gate", "merge", (IMAGE, SERIES), gate),
)
