"""The inputs on which a bundle is compared with Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.pictures import count_for, pictures
from kexport.preprocessing import prepare

Array = np.ndarray[Any, Any]

FEWEST = 4
"""How many samples of other inputs than pictures are compared."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs for both sides of the comparison.

    `raw` is what the bundle takes, by name: uint8 pictures where `image` says so. `prepared` is
    what Keras takes: the same after the Application's `preprocess_input`, in the order of the
    model's inputs.
    """

    raw: Mapping[str, Array]
    prepared: tuple[Array, ...]
    mode: str
    image: bool

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.prepared[0])

    def of_batch(self, batch: int | None) -> dict[str, Array]:
        """The raw inputs cut or repeated to a fixed batch; as they are when it is open."""
        if batch is None:
            return dict(self.raw)
        rows = np.arange(batch) % self.count
        return {name: array[rows] for name, array in self.raw.items()}


def is_image_model(model: keras.Model) -> bool:
    """Whether the only input is a picture: float [N, H, W, 1 or 3]."""
    specs = input_specs(model)
    shape = specs[0].shape
    return (
        len(specs) == 1
        and len(shape) == 4
        and shape[3] in (1, 3)
        and specs[0].dtype.is_floating_point()
    )


def make(model: keras.Model, mode: str, seed: int) -> Samples:
    """Pictures, or random numbers for other inputs; the same seed gives the same.

    Raises:
        BadArgument: an axis of an input other than the batch is open, or a mode is asked of a model
            that takes no picture.
    """
    specs = input_specs(model)
    for spec in specs:
        if any(not isinstance(dim, int) for dim in spec.shape[1:]):
            raise BadArgument(
                f"input {spec.name!r} of {model.name!r} has open axes: {tuple(spec.shape)}",
                hint="fix height and width with --input-shape H,W",
            )
    shapes = [tuple(int(dim) for dim in spec.shape[1:]) for spec in specs]
    if is_image_model(model):
        height, width, channels = shapes[0]
        count = count_for(height, width)
        raw = pictures(count, height, width, channels, seed)
        prepared = prepare(raw, mode)
        return Samples({"image": raw}, (prepared,), mode, image=True)
    if mode != "none":
        raise BadArgument(
            f"model {model.name!r} takes no picture to preprocess in mode {mode!r}",
            hint="leave out --preprocess",
        )
    rng = np.random.default_rng(seed)
    arrays = [
        _random(rng, (FEWEST, *shape), spec.dtype.numpy())
        for spec, shape in zip(specs, shapes, strict=True)
    ]
    named = {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
    return Samples(named, tuple(arrays), mode, image=False)


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, size=shape).astype(dtype)
