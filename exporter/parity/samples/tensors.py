"""Samples of an input that holds no images: numbers, ids and masks, as Keras takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kexport.arrays import Array
from kexport.calibration.dataset.inputs import TensorForm
from kexport.keras_graph import InputSpec
from kexport.parity.samples.input_values import Values, values_of
from kexport.parity.samples.uses import Gaussian, Ids, Mask, MaskValue, Range, Use

FEWEST = 4
"""Ordinary samples of a model whose inputs are large."""


@dataclass(frozen=True, slots=True)
class TensorValues:
    """The values of one input, which are the same for both sides."""

    spec: InputSpec
    uses: tuple[Use, ...]
    seed: int

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.spec.name

    @property
    def discrete(self) -> bool:
        """Whether the numbers are ids or masks, or mark what is masked."""
        return any(isinstance(use, Ids | Mask | MaskValue) for use in self.uses)

    def arriving(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which a sample arrives that becomes `shape` of the model."""
        return shape

    def bytes_of(self, shape: tuple[int, ...]) -> int:
        """Return the size of one sample."""
        return math.ceil(self.spec.dtype.itemsize * math.prod(shape))

    def fewest(self, shape: tuple[int, ...]) -> int:
        """Return the smallest number of ordinary samples."""
        return FEWEST

    def form(self, shape: tuple[int, ...]) -> TensorForm:
        """Return what is read from files for it."""
        sizes = (size if isinstance(size, int) else None for size in self.spec.shape[1:])
        return TensorForm(tuple(sizes), str(self.spec.dtype.numpy()))

    def values(self, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Values:
        """Draw values of a shape."""
        return values_of(self.spec, shape, self.uses, count, rng, self.seed)

    def like(self, given: Array) -> TensorValues:
        """Return the same input with hard values as far apart as those that are given."""
        if self.uses or not self.spec.dtype.is_floating_point():
            return self
        use = Gaussian(np.asarray(given.mean()), np.asarray(given.std()))
        return replace(self, uses=(use,))

    def encoded(self, given: Array) -> Array:
        """Return samples as the graph takes them."""
        return given

    def prepare(self, raw: Array, shape: tuple[int, ...]) -> Array:
        """Return the values as Keras takes them."""
        return raw

    def exists(self, shape: tuple[int, ...]) -> bool:
        """Return whether there are samples of that shape."""
        return True

    def from_other_sizes(self) -> list[tuple[int, ...]]:
        """Return further shapes that the graph resizes from, of which there are none."""
        return []


def told(uses: Sequence[Use], ends: tuple[float, float] | None) -> tuple[Use, ...]:
    """Return what reads an input, with a range that the user told in the place of others."""
    if ends is None:
        return tuple(uses)
    return (Range(*ends), *(use for use in uses if isinstance(use, MaskValue)))
