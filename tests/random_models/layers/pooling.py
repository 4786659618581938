"""Random pooling: over windows, over everything, to a number of windows."""

from __future__ import annotations

from typing import Any

from random_models.kind import Kind, Rng, chance, layer_of, pick, spatial


def windows(name: str) -> Any:
    """Make a pooling of windows."""

    def apply(rng: Rng, x: Any) -> Any:
        size = tuple(int(rng.integers(1, 4)) for _ in range(spatial(x)))
        steps = tuple(int(rng.integers(1, 3)) for _ in range(spatial(x)))
        padding = pick(rng, "same", "valid")
        if spatial(x) == 1:
            return layer_of(name, x)(size[0], strides=steps[0], padding=padding)(x)
        return layer_of(name, x)(size, strides=steps, padding=padding)(x)

    return apply


def whole(name: str) -> Any:
    """Make a pooling of all positions."""
    return lambda rng, x: layer_of(name, x)(keepdims=chance(rng, 0.5))(x)


def adaptive(name: str) -> Any:
    """Make a pooling to at most as many windows as there are positions."""

    def apply(rng: Rng, x: Any) -> Any:
        sizes = tuple(int(rng.integers(1, extent + 1)) for extent in x.shape[1:-1])
        return layer_of(name, x)(sizes if spatial(x) > 1 else sizes[0])(x)

    return apply


MAKERS = {
    "MaxPooling": windows,
    "AveragePooling": windows,
    "GlobalMaxPooling": whole,
    "GlobalAveragePooling": whole,
    "AdaptiveMaxPooling": adaptive,
    "AdaptiveAveragePooling": adaptive,
}

KINDS = tuple(
    Kind(f"{name}{n}D", "pooling", (n + 2,), make(name))
    for name, make in MAKERS.items()
    for n in (1, 2, 3)
)
