"""Random activations: functions by name, and the layers with parameters."""

from __future__ import annotations

from typing import Any

from keras import layers

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, chance, pick

ANY = (VECTOR, SERIES, IMAGE, VOLUME)

FUNCTIONS = (
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus"),
    *("sparse_sigmoid", "squareplus", "tanh", "tanh_shrink"),
)
"""Names of keras.activations that have a rule."""


def any_activation(rng: Rng) -> str | None:
    """Draw the `activation` of another layer: none, a ReLU, or any function."""
    return pick(rng, None, None, "relu", pick(rng, *FUNCTIONS))


def function(rng: Rng, x: Any) -> Any:
    """Apply an Activation of any name."""
    return layers.Activation(pick(rng, *FUNCTIONS))(x)


def relu(rng: Rng, x: Any) -> Any:
    """Apply a ReLU with its limits."""
    return layers.ReLU(
        max_value=pick(rng, None, 6.0, 1.5),
        negative_slope=pick(rng, 0.0, 0.1),
        threshold=pick(rng, 0.0, 0.0, 0.3),
    )(x)


def prelu(rng: Rng, x: Any) -> Any:
    """Apply a PReLU with slopes of channels, or of all positions."""
    shared = list(range(1, len(x.shape) - 1)) if chance(rng, 0.5) else None
    return layers.PReLU(shared_axes=shared or None)(x)


def softmax(rng: Rng, x: Any) -> Any:
    """Apply a Softmax along the last axis, or the first after the batch."""
    return layers.Softmax(axis=pick(rng, -1, -1, 1))(x)


KINDS = (
    Kind("Activation", "activation", ANY, function),
    Kind("ReLU", "activation", ANY, relu),
    Kind("PReLU", "activation", ANY, prelu),
    Kind("Softmax", "activation", ANY, softmax),
    Kind("ELU", "activation", ANY, lambda rng, x: layers.ELU(pick(rng, 0.3, 1.0, 2.0))(x)),
    Kind("LeakyReLU", "activation", ANY, lambda rng, x: layers.LeakyReLU(pick(rng, 0.1, 0.3))(x)),
)
