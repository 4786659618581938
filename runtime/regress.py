"""Numbers as answers (task regress), and arrays as they are (task raw)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Number:
    """A number of an answer, and its name: its label, or its place in the model's outputs."""

    name: str
    value: float


@dataclass(frozen=True)
class Numbers:
    """The numbers that the model gives for an image, in the order of its outputs."""

    numbers: tuple[Number, ...]

    columns = ("name", "value")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each number, in the order of `columns`."""
        return [(found.name, f"{found.value:.6g}") for found in self.numbers]

    def entry(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {"numbers": [asdict(found) for found in self.numbers]}


@dataclass(frozen=True)
class RawOutputs:
    """The model's outputs by name, without the batch axis."""

    arrays: dict[str, NDArray[Any]]

    columns = ("output", "type", "least", "mean", "largest")

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts for each output, in the order of `columns`."""
        return [
            (name, f"{array.dtype} {list(array.shape)}", *_summary(array))
            for name, array in self.arrays.items()
        ]

    def entry(self) -> dict[str, Any]:
        """Return shapes and dtypes as JSON has them; `save` keeps the numbers."""
        described = {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in self.arrays.items()
        }
        return {"outputs": described}


def numbers_of(
    outputs: Mapping[str, NDArray[Any]], names: Sequence[str], labels: Sequence[str] | None
) -> Numbers:
    """Return the numbers of some outputs of one sample, each of any shape.

    The name of a number is its label. Without labels it is that of its output, with its place if
    there are several: `box[2]`.
    """
    found: list[Number] = []
    for name in names:
        values = np.asarray(outputs[name], np.float64).ravel().tolist()
        for place, value in enumerate(values):
            found.append(Number(name if len(values) == 1 else f"{name}[{place}]", value))
    if labels is not None and len(labels) == len(found):
        found = [Number(label, one.value) for label, one in zip(labels, found)]
    return Numbers(tuple(found))


def _summary(array: NDArray[Any]) -> tuple[str, str, str]:
    if not array.size or array.dtype.kind not in "fiub":
        return "", "", ""
    wide = array.astype(np.float64)
    return f"{wide.min():.4g}", f"{wide.mean():.4g}", f"{wide.max():.4g}"
