"""Values of an input that is not an image: ordinary ones, and hard ones that reach its branches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kexport.arrays import Array
from kexport.keras_graph import InputSpec
from kexport.parity.samples.uses import Gaussian, Ids, Mask, MaskValue, Range, Use
from kexport.source.synthetic_images import draw_images

LARGE = 4.0
"""How many standard deviations large values have: enough to saturate an activation that reads the
input, and not so many that the spread of the outputs is theirs alone."""

SMALL = 1e-3
"""Standard deviation of small values."""

KEPT = 0.7
"""Share of the steps that a random mask keeps."""

EVEN_VALUES = 3 * 32 * 32
"""Numbers of the largest sample that may have one value everywhere, for the reason that
`images.EVEN_PIXELS` gives."""

SMALLEST_PICTURE = 8
"""Height and width from which on [H, W, 1 or 3] is taken for a picture, by default 0..255."""


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one input.

    `ordinary` [count, ...] has the input's dtype. Each of `hard` has the shape of one sample,
    and a name that says what it is.
    """

    ordinary: Array
    hard: tuple[tuple[str, Array], ...]


def values_of(
    spec: InputSpec,
    shape: Sequence[int],
    uses: Sequence[Use],
    count: int,
    rng: np.random.Generator,
    seed: int,
) -> Values:
    """Choose the values of an input from its dtype and from what reads it.

    Args:
        spec: the input.
        shape: the shape of one sample, without open axes.
        uses: what reads the input.
        count: the number of ordinary values.
        rng: gives the random numbers.
        seed: seed of the pictures, where the input holds such.
    """
    dtype, shape = np.dtype(spec.dtype.numpy()), tuple(shape)
    tables = sorted({use.count for use in uses if isinstance(use, Ids)})
    ranges = [use for use in uses if isinstance(use, Range)]
    normal = [use for use in uses if isinstance(use, Gaussian)]
    if dtype.kind == "b" or any(isinstance(use, Mask) for use in uses):
        found = _masks(shape, count, rng)
    elif tables:
        found = _ids(tables, shape, count, rng)
    elif ranges:
        found = _in_range(ranges[0], shape, count, rng, seed)
    elif normal:
        found = _normal(normal[0], shape, count, rng)
    elif dtype == np.uint8:
        found = _in_range(Range(0, 255), shape, count, rng, seed)
    elif np.issubdtype(dtype, np.integer):
        found = _masks(shape, count, rng)
    else:
        found = _normal(Gaussian(np.zeros(()), np.ones(())), shape, count, rng)
    for value in (use.value for use in uses if isinstance(use, MaskValue)):
        base = found.ordinary[0]
        other = base[base != value]
        whole = np.where(base == value, other[0] if other.size else value + 1, base)
        padded = (("no step masked", whole), *_padded(whole, value))
        found = replace(found, hard=(*padded, *found.hard))
    return _of_dtype(found, dtype)


def _normal(use: Gaussian, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Values:
    use = _fitting(use, shape)
    mean, deviation = use.mean, use.deviation
    drawn = rng.normal(size=(count + 2, *shape)) * deviation
    hard = {
        "large values": mean + LARGE * drawn[-2],
        "small values": mean + SMALL * drawn[-1],
    }
    if math.prod(shape) <= EVEN_VALUES:
        hard |= {
            "zeros": np.zeros(shape),
            "the same value everywhere": np.broadcast_to(mean + deviation, shape),
        }
    else:
        hard["zeros in its first half"] = drawn[0] * _second_half(shape)
    return Values(mean + drawn[:count], tuple(hard.items()))


def _fitting(use: Gaussian, shape: tuple[int, ...]) -> Gaussian:
    """Return a use whose arrays broadcast to `shape`.

    Statistics of axes that a Reshape or another layer makes of the input do not. They are replaced
    by the mean and deviation of all numbers together.
    """
    try:
        if np.broadcast_shapes(shape, use.mean.shape, use.deviation.shape) == shape:
            return use
    except ValueError:  # they do not broadcast
        pass
    whole = np.sqrt(np.mean(use.deviation**2) + np.var(use.mean))
    return Gaussian(np.asarray(use.mean.mean()), np.asarray(whole))


def _in_range(
    use: Range, shape: tuple[int, ...], count: int, rng: np.random.Generator, seed: int
) -> Values:
    """Draw pictures, or evenly spread values where the shape is not one of a picture."""
    if _is_picture(shape):
        drawn = draw_images(count, shape[0], shape[1], shape[2], seed) / 255
    else:
        drawn = rng.uniform(size=(count, *shape))
    hard: dict[str, Array] = {}
    if shape:
        hard["the smallest and the largest value in turns"] = np.indices(shape).sum(axis=0) % 2
        hard["the smallest and the largest value in halves"] = _second_half(shape)
    if math.prod(shape) <= EVEN_VALUES:
        hard |= {
            "the smallest value everywhere": np.zeros(shape),
            "the largest value everywhere": np.ones(shape),
            "the middle of the range everywhere": np.full(shape, 128 / 255),
        }
    span = use.high - use.low
    scaled = tuple((name, use.low + span * one) for name, one in hard.items())
    return Values(use.low + span * drawn, scaled)


def _second_half(shape: tuple[int, ...]) -> Array:
    """Return zeros and, in the second half along the last but one axis, ones."""
    axis = max(len(shape) - 2, 0)
    return np.asarray(np.indices(shape)[axis] >= shape[axis] // 2, np.float64)


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= SMALLEST_PICTURE


def _ids(
    tables: Sequence[int], shape: tuple[int, ...], count: int, rng: np.random.Generator
) -> Values:
    """Spread ids over the whole table, the first and the last id included.

    Where the input may be ids of several tables, the ordinary ones suit all of them.
    """
    least, size = tables[0], math.prod(shape)
    last = np.zeros(shape) + least - 1
    alternate = np.indices(shape).sum(axis=0) % 2 * (least - 1) if shape else last
    larger = [(f"ids up to {each - 1}", _spread(each, shape, 1, rng)[0]) for each in tables[1:]]
    ends = [("the first and the last id in turns", alternate)]
    if size == 1:
        ends = [("the first id", np.zeros(shape)), ("the last id", last)]
    return Values(_spread(least, shape, count, rng), (*ends, *larger))


def _spread(count: int, shape: tuple[int, ...], rows: int, rng: np.random.Generator) -> Array:
    """Return integers [rows, *shape] in a random order: all in 0..count-1, or evenly spread."""
    total = rows * math.prod(shape)
    every = np.arange(total) % count
    steps = every if total >= count else np.linspace(0, count - 1, total).round()
    return rng.permutation(steps).reshape(rows, *shape)


def _masks(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Values:
    """Return masks of zeros and ones: padded, random, full and empty."""
    full, drawn = np.ones(shape), rng.uniform(size=(count, *shape)) < KEPT
    ordinary = drawn | (np.indices(shape).sum(axis=0) == 0) if shape else drawn
    ordinary[0] = True
    return Values(
        ordinary,
        (("no step masked", full), *_padded(full, 0.0)),
    )


def _padded(values: Array, mask_value: float) -> Iterator[tuple[str, Array]]:
    """Yield copies of `values` [steps, ...] with some steps replaced by `mask_value`."""
    steps = values.shape[0] if values.ndim else 1
    third = -(-steps // 3)
    places = {
        "the last steps masked": slice(steps - third, steps),
        "the first steps masked": slice(third),
        "the middle masked": slice(third, steps - third),
        "all steps but the first masked": slice(1, steps),
        "all steps masked": slice(steps),
    }
    for name, place in places.items():
        copy = np.array(values, np.float64).reshape(steps, -1)
        copy[place] = mask_value
        yield name, copy.reshape(values.shape)


def _of_dtype(values: Values, dtype: np.dtype[np.generic]) -> Values:
    """Round to the dtype; drop the hard values that are equal to earlier ones."""
    whole = not np.issubdtype(dtype, np.floating)

    def cast(array: Array) -> Array:
        return (np.rint(array) if whole and array.dtype.kind == "f" else array).astype(dtype)

    hard: dict[bytes, tuple[str, Array]] = {}
    for name, array in values.hard:
        hard.setdefault(cast(array).tobytes(), (name, cast(array)))
    return Values(cast(values.ordinary), tuple(hard.values()))
