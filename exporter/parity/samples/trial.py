"""Trials: whether Keras itself computes a sample, and gives finite numbers for it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import keras
import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument, one_line
from kexport.keras_graph import structured

AT_ONCE = 4
"""Samples that Keras is given at once; it bounds the memory of large models."""

MOST_NOISE = 1e-3
"""Change of an output, relative to its largest value, above which it is rounding noise. It is 8000
times the change of the inputs; tolerances are ten times smaller."""


class _NotComputed(Exception):
    """Keras raised an exception, whose first line this is."""


def fault(model: keras.Model, inputs: Sequence[Array]) -> str | None:
    """Return why Keras does not compute the inputs, in one line; None if it does.

    Numbers that are not finite count as a fault.

    Args:
        model: a model that Keras computes on this machine.
        inputs: one array for each input, in the order of `input_specs`, batch first.
    """
    return _run(model, inputs)[1]


def faults(
    model: keras.Model, inputs: Sequence[Array], discrete: Collection[int] = ()
) -> dict[int, str]:
    """Return the samples on which a bundle cannot be compared with Keras, by place, and why.

    Keras does not compute them, or gives numbers that are not finite or that are rounding noise: a
    constant divided by its deviation, say. Noise is recognised by moving every floating-point input
    to a neighbouring number, up and down in turns, except those whose place is in `discrete`.
    """
    found: dict[int, str] = {}
    count = len(inputs[0])
    for start in range(0, count, AT_ONCE // 2):
        places = range(start, min(start + AT_ONCE // 2, count))
        rows = [array[places.start : places.stop] for array in inputs]
        reasons = _faults(rows, model, discrete)
        found |= {at: why for at, why in zip(places, reasons, strict=True) if why is not None}
    return found


def _faults(rows: list[Array], model: keras.Model, discrete: Collection[int]) -> list[str | None]:
    count = len(rows[0])
    moved = [array if at in discrete else _moved(array) for at, array in enumerate(rows)]
    both = [np.concatenate(pair) for pair in zip(rows, moved, strict=True)]
    outputs, reason = _run(model, both)
    if reason is not None and count > 1:
        each = ([array[at : at + 1] for array in rows] for at in range(count))
        return [_faults(row, model, discrete)[0] for row in each]
    if reason is not None:
        return [reason]
    outputs = [output for output in outputs if output.shape[:1] == (2 * count,)]
    noisy = [any(_is_noise(out[at], out[at + count]) for out in outputs) for at in range(count)]
    return ["Keras gives rounding noise" if one else None for one in noisy]


def _moved(array: Array) -> Array:
    """Return the neighbours of floating-point numbers; zero stays, as it has no rounding error."""
    if array.dtype.kind != "f":
        return array
    up = np.arange(array.size).reshape(array.shape) % 2 == 0
    towards = np.where(up, np.inf, -np.inf).astype(array.dtype)
    return np.where(array == 0, array, np.nextafter(array, towards))


def _is_noise(output: Array, moved: Array) -> bool:
    if output.dtype.kind != "f" or not output.size:
        return False
    return bool(np.abs(output - moved).max() > MOST_NOISE * np.abs(output).max())


def _run(model: keras.Model, inputs: Sequence[Array]) -> tuple[list[Array], str | None]:
    """Return the outputs, and why they are of no use; None if they are."""
    try:
        outputs = _outputs(model, inputs)
    except _NotComputed as error:
        return [], str(error)
    finite = all(np.isfinite(array).all() for array in outputs if array.dtype.kind in "fc")
    return outputs, None if finite else "Keras gives NaN or infinity"


def require(model: keras.Model, inputs: Sequence[Array]) -> None:
    """Check that a model with open axes computes the first sample at the sizes chosen for it.

    Raises:
        BadArgument: Keras raises an exception for it.
    """
    try:
        _outputs(model, [array[:1] for array in inputs])
    except _NotComputed as error:
        sizes = ", ".join(" x ".join(map(str, array.shape[1:])) for array in inputs)
        raise BadArgument(
            f"model {model.name!r} leaves axes open and does not compute {sizes}, "
            f"the size that kexport would compare it at: {error}",
            hint="give its Input all sizes, in Keras or with `recipe.input_shape=(H, W, 3)`",
        ) from error


def _outputs(model: keras.Model, inputs: Sequence[Array]) -> list[Array]:
    try:
        with warnings.catch_warnings(action="ignore"):
            outputs = keras.tree.flatten(model(structured(model, inputs), training=False))
    except Exception as error:  # Keras' layers raise what they like
        raise _NotComputed(one_line(error)) from error
    return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]
