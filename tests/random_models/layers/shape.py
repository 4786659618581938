"""Random layers that move, cut, pad or repeat elements."""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, layer_of, pick, spatial

ANY = (VECTOR, SERIES, IMAGE, VOLUME)


def margins(name: str) -> Any:
    """Make a padding or a crop of 0 to 2 elements on each side."""

    def apply(rng: Rng, x: Any) -> Any:
        sides = tuple(tuple(int(n) for n in rng.integers(0, 3, 2)) for _ in range(spatial(x)))
        return layer_of(name, x)(sides if spatial(x) > 1 else sides[0])(x)

    return apply


def upsampled(rng: Rng, x: Any) -> Any:
    """Repeat elements two or three times, or interpolate images."""
    if spatial(x) == 1:
        return layers.UpSampling1D(pick(rng, 2, 3))(x)
    sizes = tuple(int(rng.integers(1, 4)) for _ in range(spatial(x)))
    if spatial(x) == 3:
        return layers.UpSampling3D(sizes)(x)
    how = pick(rng, "nearest", "bilinear", "bilinear", "bicubic", "lanczos3")
    return layers.UpSampling2D(sizes, interpolation=how)(x)


def permuted(rng: Rng, x: Any) -> Any:
    """Move axes."""
    return layers.Permute(tuple(int(n) + 1 for n in rng.permutation(len(x.shape) - 1)))(x)


def reshaped(rng: Rng, x: Any) -> Any:
    """Reshape to two axes, or to three, whose extents divide the number of elements."""
    count = math.prod(x.shape[1:])
    first = pick(rng, *(n for n in range(1, 13) if count % n == 0))
    second = pick(rng, *(n for n in range(1, 5) if count // first % n == 0))
    target = pick(rng, (first, -1), (-1, first), (first, second, count // first // second))
    return layers.Reshape(target)(x)


KINDS = (
    *(Kind(f"ZeroPadding{n}D", "shape", (n + 2,), margins("ZeroPadding")) for n in (1, 2, 3)),
    *(Kind(f"Cropping{n}D", "shape", (n + 2,), margins("Cropping")) for n in (1, 2, 3)),
    *(Kind(f"UpSampling{n}D", "resize", (n + 2,), upsampled) for n in (1, 2, 3)),
    Kind("Permute", "shape", ANY, permuted),
    Kind("Reshape", "shape", ANY, reshaped),
    Kind("Flatten", "shape", ANY, lambda rng, x: layers.Flatten()(x)),
    Kind(
        "RepeatVector",
        "shape",
        (VECTOR,),
        lambda rng, x: layers.RepeatVector(int(rng.integers(2, 5)))(x),
    ),
)
