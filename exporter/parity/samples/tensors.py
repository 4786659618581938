"""Samples of a model whose inputs are not one image: numbers, ids, masks and pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from kexport.arrays import Array
from kexport.conversion import input_specs
from kexport.keras_graph import InputSpec
from kexport.parity.samples import extents, trial
from kexport.parity.samples.count import count_of
from kexport.parity.samples.input_values import Values, values_of
from kexport.parity.samples.uses import Ids, Mask, MaskValue, Use, uses_of
from kexport.parity.samples.value import Probe, Samples

FEWEST = 4
"""Ordinary samples of a model whose inputs are large."""

MOST_HARD = 16
"""Hard samples in which one input is hard and the others ordinary. If there were more, all inputs
are hard at the same time."""


@dataclass(frozen=True, slots=True)
class _Subject:
    model: keras.Model
    specs: tuple[InputSpec, ...]
    uses: tuple[tuple[Use, ...], ...]
    seed: int

    @property
    def discrete(self) -> frozenset[int]:
        """The inputs whose numbers are ids or masks, or mark what is masked."""
        found = enumerate(self.uses)
        return frozenset(
            at for at, uses in found if any(isinstance(use, Ids | Mask | MaskValue) for use in uses)
        )

    def values(self, shapes: extents.Shapes) -> list[Values]:
        """Draw the values of each input; the same for the same shapes."""
        rng = np.random.default_rng(self.seed)
        sizes = (
            spec.dtype.itemsize * math.prod(shape)
            for spec, shape in zip(self.specs, shapes, strict=True)
        )
        count = count_of(int(sum(sizes)), FEWEST)
        inputs = zip(self.specs, shapes, self.uses, strict=True)
        return [
            values_of(spec, shape, uses, count, rng, self.seed + place)
            for place, (spec, shape, uses) in enumerate(inputs)
        ]

    def named(self, arrays: Sequence[Array]) -> dict[str, Array]:
        return {spec.name: array for spec, array in zip(self.specs, arrays, strict=True)}


def of_tensors(model: keras.Model, seed: int, batch: int | None) -> Samples:
    """Draw the samples of a model whose inputs are given as Keras takes them.

    Args:
        model: in a form that Keras computes on a CPU.
        seed: the same seed gives the same samples.
        batch: the fixed batch, None if open.

    Raises:
        BadArgument: the model does not compute the extents chosen for its open axes.
    """
    specs = input_specs(model)
    subject = _Subject(model, specs, tuple(uses_of(model)), seed)
    declared = [spec.shape for spec in specs]
    values = subject.values(extents.main_shapes(declared))
    ordinary = [each.ordinary for each in values]
    if any(isinstance(size, str) for shape in declared for size in shape[1:]):
        trial.require(model, ordinary)
    names, rows = _hard(specs, values)
    hard = [np.stack(column) for column in zip(*rows, strict=True)]
    faults = trial.faults(model, hard, subject.discrete)
    kept = [place for place in range(len(rows)) if place not in faults]
    arrays = tuple(
        np.concatenate([own, added[kept]]) for own, added in zip(ordinary, hard, strict=True)
    )
    return Samples(
        subject.named(arrays),
        arrays,
        "none",
        None,
        ordinary=len(ordinary[0]),
        probes=(*_batches(subject, ordinary, batch), *_order(subject, ordinary), *_sizes(subject)),
        left_out=tuple(f"{names[place]}: {reason}" for place, reason in faults.items()),
        discrete=subject.discrete,
    )


def _hard(
    specs: Sequence[InputSpec], values: Sequence[Values]
) -> tuple[list[str], list[list[Array]]]:
    """Return the name of each hard sample, and its arrays: one for each input."""
    first = [each.ordinary[0] for each in values]
    hard = [
        [(f"{one.name} with {name}", array) for name, array in each.hard]
        for one, each in zip(specs, values, strict=True)
    ]
    if sum(map(len, hard)) <= MOST_HARD:
        alone = [(name, at, array) for at, own in enumerate(hard) for name, array in own]
        rows = [[*first[:at], array, *first[at + 1 :]] for _, at, array in alone]
        return [name for name, _, _ in alone], rows
    together = itertools.zip_longest(*hard)
    names, rows = [], []
    for chosen in together:
        names.append(", ".join(one[0] for one in chosen if one))
        rows.append([one[1] if one else own for one, own in zip(chosen, first, strict=True)])
    return names, rows


def _batches(subject: _Subject, arrays: Sequence[Array], batch: int | None) -> Iterator[Probe]:
    if batch is None:
        for count in (1, 3):
            cut = tuple(array[:count] for array in arrays)
            yield Probe(f"batch {count}", subject.named(cut), cut)


def _order(subject: _Subject, arrays: Sequence[Array]) -> Iterator[Probe]:
    if len(arrays) > 1:
        cut = tuple(array[:1] for array in arrays)
        turned = dict(reversed(subject.named(cut).items()))
        yield Probe("inputs in reverse order", turned, cut)


def _sizes(subject: _Subject) -> Iterator[Probe]:
    """Yield probes at other extents of the open axes, where Keras computes them."""
    declared, names = [spec.shape for spec in subject.specs], [one.name for one in subject.specs]
    for group in extents.other_shapes(declared):
        for shapes in group:
            arrays = tuple(each.ordinary[1:2] for each in subject.values(shapes))
            if trial.fault(subject.model, arrays) is None:
                name = extents.difference(declared, shapes, names)
                yield Probe(name, subject.named(arrays), arrays)
                break
