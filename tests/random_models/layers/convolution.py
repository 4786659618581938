"""Random convolutions: strided, dilated, grouped, depthwise, separable, transposed."""

from __future__ import annotations

from typing import Any

from keras import layers

from random_models.kind import IMAGE, Kind, Rng, chance, layer_of, pick, spatial
from random_models.layers.activation import any_activation


def conv(rng: Rng, x: Any) -> Any:
    """Apply a convolution with random arguments."""
    group = int(x.shape[-1]) if chance(rng, 0.05) else 1
    padding = pick(rng, "same", "valid", "causal") if spatial(x) == 1 else _padding(rng)
    return layer_of("Conv", x)(
        group * int(rng.integers(1, 5)),
        _window(rng, x),
        padding=padding,
        groups=group,
        use_bias=chance(rng, 0.8),
        activation=any_activation(rng),
        **_steps(rng, x),
    )(x)


def depthwise(rng: Rng, x: Any) -> Any:
    """Apply a depthwise convolution; TensorFlow wants equal strides along both axes."""
    return layer_of("DepthwiseConv", x)(
        _window(rng, x),
        padding=_padding(rng),
        depth_multiplier=pick(rng, 1, 1, 2),
        use_bias=chance(rng, 0.8),
        activation=any_activation(rng),
        **_equal_steps(rng),
    )(x)


def separable(rng: Rng, x: Any) -> Any:
    """Apply a separable convolution."""
    return layer_of("SeparableConv", x)(
        int(rng.integers(2, 6)),
        _window(rng, x),
        padding=_padding(rng),
        depth_multiplier=pick(rng, 1, 2),
        use_bias=chance(rng, 0.8),
        activation=any_activation(rng),
        **_equal_steps(rng),
    )(x)


def transposed(rng: Rng, x: Any) -> Any:
    """Apply a transposed convolution."""
    kind = getattr(layers, f"Conv{spatial(x)}DTranspose")
    return kind(
        int(rng.integers(1, 5)),
        _window(rng, x),
        strides=pick(rng, 1, 2, 2, 3),
        padding=_padding(rng),
        use_bias=chance(rng, 0.8),
        activation=any_activation(rng),
    )(x)


def spectral(rng: Rng, x: Any) -> Any:
    """Apply a convolution whose kernel training divides by its norm."""
    return layers.SpectralNormalization(layers.Conv2D(3, 2))(x)


def _padding(rng: Rng) -> str:
    return pick(rng, "same", "same", "valid")


def _window(rng: Rng, x: Any) -> tuple[int, ...]:
    return tuple(int(rng.integers(1, 4)) for _ in range(spatial(x)))


def _steps(rng: Rng, x: Any) -> dict[str, Any]:
    """Draw strides or dilations: Keras allows one of them to be over 1."""
    if chance(rng, 0.25):
        return {"dilation_rate": tuple(int(rng.integers(1, 3)) for _ in range(spatial(x)))}
    return {"strides": tuple(int(rng.integers(1, 3)) for _ in range(spatial(x)))}


def _equal_steps(rng: Rng) -> dict[str, Any]:
    return {"dilation_rate": 2} if chance(rng, 0.2) else {"strides": pick(rng, 1, 2)}


KINDS = (
    *(Kind(f"Conv{n}D", "convolution", (n + 2,), conv) for n in (1, 2, 3)),
    *(Kind(f"DepthwiseConv{n}D", "convolution", (n + 2,), depthwise) for n in (1, 2)),
    *(Kind(f"SeparableConv{n}D", "convolution", (n + 2,), separable) for n in (1, 2)),
    *(Kind(f"Conv{n}DTranspose", "convolution", (n + 2,), transposed) for n in (1, 2, 3)),
    Kind("SpectralNormalization", "convolution", (IMAGE,), spectral),
)
