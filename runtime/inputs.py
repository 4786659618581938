"""Input validation: a caller's arrays against the inputs that the manifest declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInput
from .pixel_formats import SIZE_MULTIPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .manifest import InputSpec


def fit_inputs(
    given: NDArray[Any] | Mapping[str, NDArray[Any]], specs: Sequence[InputSpec]
) -> dict[str, NDArray[Any]]:
    """Return one array for each input, batch first, in the order of `specs`.

    A bare array is the only input. An array that lacks just the batch dimension is a single sample:
    it gets a batch of 1 if the model's batch is 1 or free, and is refused otherwise.

    Raises BadInput for names, dtypes, ranks and sizes that do not match, for an empty batch, and
    for inputs with different numbers of samples.
    """
    named = by_name(given, specs)
    feeds = {spec.name: _array(named[spec.name], spec) for spec in specs}
    counts = {name: len(array) for name, array in feeds.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise BadInput(
            f"the inputs hold different numbers of samples: {listed}",
            hint="give every input the same batch",
        )
    return feeds


def described(dtype: object, shape: Sequence[int | None]) -> str:
    """Describe a tensor as `uint8 [N, 299, 299, 3]`: N for a free batch, ? for other free sizes."""
    free = ["N" if axis == 0 else "?" for axis in range(len(shape))]
    sizes = [free[axis] if size is None else str(size) for axis, size in enumerate(shape)]
    return f"{dtype} [{', '.join(sizes)}]"


def exact(numbers: Any, dtype: str) -> NDArray[Any]:
    """Return numbers as an array of a dtype.

    Raises ValueError, TypeError or OverflowError for what is none, and for those that a dtype of
    whole numbers or bools does not hold, such as 1.5, or 300 in uint8.
    """
    given = np.asarray(numbers)
    with np.errstate(invalid="ignore"):
        found: NDArray[Any] = given.astype(dtype)
    if found.dtype.kind in "iub" and not np.array_equal(found, given):
        raise ValueError(f"{dtype} does not hold all of them")
    return found


def by_name(given: Any, specs: Sequence[InputSpec]) -> Mapping[str, Any]:
    """Return what is given for each input; anything but a mapping is for the only input.

    Raises BadInput for names that do not match.
    """
    names = [spec.name for spec in specs]
    if not isinstance(given, Mapping):
        if len(specs) > 1:
            raise BadInput(
                f"the model has {len(specs)} inputs, and got one value",
                hint=f"pass a dict with {', '.join(names)}",
            )
        return {names[0]: given}
    unknown = [repr(name) for name in given if name not in names]
    missing = [repr(name) for name in names if name not in given]
    if unknown or missing:
        fault = f"no input named {unknown[0]}" if unknown else f"input {missing[0]} is missing"
        raise BadInput(fault, hint=f"the model's inputs are: {', '.join(names)}")
    return given


def _array(value: Any, spec: InputSpec) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BadInput(f"input {spec.name!r} is not an array: {error}") from error
    shape = spec.shape
    if array.dtype != np.dtype(spec.dtype):
        raise _misfit(array, spec, _dtype_hint(array, spec))
    if array.ndim == len(shape) - 1 and shape[0] in (None, 1):
        array = array[np.newaxis]
    if array.ndim != len(shape):
        one = array.ndim == len(shape) - 1
        hint = f"stack {shape[0]} samples along a new first axis" if one else None
        raise _misfit(array, spec, hint)
    if any(
        size is not None and size != array.shape[axis] for axis, size in enumerate(shape) if axis
    ):
        raise _misfit(array, spec, _size_hint(array, spec))
    if spec.color is not None:
        _refuse_odd(array, spec)
    if len(array) == 0:
        raise _misfit(array, spec, "give at least one sample")
    return array


def _refuse_odd(array: NDArray[Any], spec: InputSpec) -> None:
    """Refuse sizes that a format with shared chroma does not have; others are in the shape."""
    rows, columns = SIZE_MULTIPLES.get(str(spec.color), (1, 1))
    height, width = array.shape[2:] if spec.layout == "NCHW" else array.shape[1:3]
    if rows > 1 and height % 3:
        hint = "give 3/2 as many rows as the image has: its Y, then its U and V"
        what = f"{height} rows are not 3/2 of an even height"
    elif width % columns:
        hint = "cut off the last column"
        what = f"the width {width} is odd"
    else:
        return
    raise BadInput(f"input {spec.name!r} takes {spec.color}, and {what}", hint=hint)


def _misfit(array: NDArray[Any], spec: InputSpec, hint: str | None) -> BadInput:
    wanted, got = described(spec.dtype, spec.shape), described(array.dtype, array.shape)
    return BadInput(f"input {spec.name!r} takes {wanted}, got {got}", hint=hint)


def _dtype_hint(array: NDArray[Any], spec: InputSpec) -> str:
    if spec.color is not None:
        return f"pass {spec.color} as {spec.dtype} 0..255: preprocessing is inside the model"
    return f"convert it with .astype({spec.dtype!r})"


def _size_hint(array: NDArray[Any], spec: InputSpec) -> str | None:
    if spec.color is None:
        return None
    last, other = (1, 3) if spec.layout == "NCHW" else (3, 1)
    channels = spec.shape[last]
    if array.shape[other] == channels and array.shape[last] != channels:
        moved = (
            "first: array.transpose(0, 3, 1, 2)"
            if last == 1
            else "last: array.transpose(0, 2, 3, 1)"
        )
        return f"put channels {moved}"
    if array.shape[last] == channels:
        height, width = ("any" if size is None else size for size in spec.size)
        return f"resize to {height} x {width} first, or use classify(), which does"
    return f"give {channels} channels, in {spec.color} order"
