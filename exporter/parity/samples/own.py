"""The user's own samples in the place of those that are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kexport.arrays import Array
from kexport.calibration.dataset.inputs import load_samples
from kexport.errors import BadArgument
from kexport.options.sampling import FEWEST
from kexport.parity.samples import extents, trial
from kexport.parity.samples.count import MOST
from kexport.parity.samples.extents import Declared, Shapes
from kexport.parity.samples.images import ImageValues
from kexport.parity.samples.tensors import TensorValues

InputValues = ImageValues | TensorValues


@dataclass(frozen=True, slots=True)
class Own:
    """Own samples: an array for each input as the graph takes it, and the shapes they arrive in.

    `inputs` are those of the model, with hard values like the samples.
    """

    inputs: tuple[InputValues, ...]
    arrays: tuple[Array, ...]
    shapes: Shapes


def read_own(
    inputs: Sequence[InputValues],
    declared: Declared,
    source: str | Path | Mapping[str, Any],
    seed: int,
) -> Own:
    """Read the user's samples, up to `MOST` of them.

    Images have the model's size, that which a resize in the graph is proven from, or `OPEN_SIZE`.

    Raises:
        BadArgument: they do not fit the inputs, or there are too few.
    """
    places = [place for place, one in enumerate(inputs) if isinstance(one, ImageValues)]
    main = extents.main_shapes(declared, places)[0]
    arriving = [one.arriving(shape) for one, shape in zip(inputs, main, strict=True)]
    pairs = list(zip(inputs, arriving, strict=True))
    forms = {one.name: one.form(shape) for one, shape in pairs}
    found = load_samples(source, forms, limit=MOST, seed=seed, least=FEWEST)
    decoded = [found.arrays[one.name] for one in inputs]
    shapes = tuple(
        shape if isinstance(one, ImageValues) else array.shape[1:]
        for (one, shape), array in zip(pairs, decoded, strict=True)
    )
    known = zip(inputs, decoded, strict=True)
    like = tuple(one.like(array) for one, array in known)
    arrays = tuple(one.encoded(array) for one, array in zip(inputs, decoded, strict=True))
    return Own(like, arrays, shapes)


def require_computed(model: keras.Model, inputs: Sequence[Array]) -> None:
    """Check that Keras computes all of the user's samples, and gives finite numbers.

    Raises:
        BadArgument: it does not.
    """
    for start in range(0, len(inputs[0]), trial.AT_ONCE):
        reason = trial.fault(model, [array[start : start + trial.AT_ONCE] for array in inputs])
        if reason is not None:
            raise BadArgument(
                f"Keras does not compute the samples: {reason}",
                hint="give samples like those of training",
            )
