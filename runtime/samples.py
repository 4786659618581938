"""One sample: what a caller gives for each input, images and numbers, as the model takes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInput
from .image import sample
from .inputs import by_name, described, exact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .image import ImageSource
    from .manifest import InputSpec

    SampleSource = ImageSource | Mapping[str, Any]


def sample_of(given: SampleSource, specs: Sequence[InputSpec]) -> dict[str, NDArray[Any]]:
    """Return the array of each input, without the batch dimension, in the order of `specs`.

    `given` is an image, for a model whose only input is one; or for each input by name an image, or
    numbers. An image is as for `image.sample`; numbers are an array of the input's dtype, or nested
    lists.

    Raises BadImage, BadInput and EngineMissing, as `image.sample`; BadInput for names that do not
    match, and for numbers that are none.
    """
    named = by_name(given, specs)
    return {
        spec.name: _numbers(named[spec.name], spec)
        if spec.color is None
        else sample(named[spec.name], spec)
        for spec in specs
    }


def _numbers(given: Any, spec: InputSpec) -> NDArray[Any]:
    if isinstance(given, np.ndarray):
        return given
    wanted = described(spec.dtype, spec.shape)
    if isinstance(given, (str, os.PathLike)):
        raise BadInput(
            f"input {spec.name!r} takes numbers, {wanted}, and got the file {os.fspath(given)}",
            hint="pass an array, or use run() for arrays of a whole batch",
        )
    try:
        return exact(given, spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"input {spec.name!r} takes {wanted}, and got a {type(given).__name__}: {error}",
            hint="pass an array, or nested lists of numbers",
        ) from error
