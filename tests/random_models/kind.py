"""What the tables of random layers hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import keras
import numpy as np

T = TypeVar("T")
Rng = np.random.Generator
Apply = Callable[[Rng, Any], Any]

VECTOR, SERIES, IMAGE, VOLUME = 2, 3, 4, 5
"""Ranks of tensors, the batch included: features, steps, pictures and voxels, channels last."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to continue a model: calls a layer with random arguments on a symbolic tensor.

    `ranks` are the ranks of the tensors that it takes. It may raise what Keras raises where the
    tensor's extents do not suit the arguments. A kind that is `traced` goes through tf2onnx, which
    takes up to a second.
    """

    name: str
    family: str
    ranks: tuple[int, ...]
    apply: Apply
    traced: bool = False


def pick(rng: Rng, *options: T) -> T:
    """Draw one of the options."""
    return options[int(rng.integers(len(options)))]


def chance(rng: Rng, probability: float) -> bool:
    """Draw True with a probability."""
    return bool(rng.random() < probability)


def decades(rng: Rng, low: float, high: float, shape: Sequence[int] = ()) -> Any:
    """Draw powers of ten with an exponent from `low` to `high`."""
    return 10.0 ** rng.uniform(low, high, tuple(shape))


def spatial(x: Any) -> int:
    """Return the number of axes between the batch and the channels."""
    return len(x.shape) - 2


def layer_of(name: str, x: Any) -> Any:
    """Return a class of keras.layers by the start of its name and the tensor's spatial rank."""
    return getattr(keras.layers, f"{name}{spatial(x)}D")
