"""Layers that round in one direction, computed in float64: long sums, and normalizations.

A float32 sum of n numbers of one sign may be off by n units in the last place, and where they are
alike each addition rounds in the same direction (N. J. Higham, "The Accuracy of Floating Point
Summation", SIAM Journal on Scientific Computing 14, 1993). Rounding errors drawn at random do not
show that. An average computed in float64 does: its difference from Keras' own is Keras' error.

Keras normalizes by x * s + (shift - mean * s), with s = scale / deviation. Where all numbers are
alike the products are equal, large, and rounded in the same way, and the shift loses its digits.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kexport.keras_graph import carry_over, private_name

POOLS = frozenset(
    {
        layers.AveragePooling1D,
        layers.AveragePooling2D,
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.GlobalAveragePooling3D,
    }
)
"""Layers that average, and compute nothing else. TensorFlow has no AveragePooling3D in float64."""

NORMS = frozenset({layers.GroupNormalization, layers.LayerNormalization})
"""Layers that normalize by statistics of what they read, in the dtype of it."""

SUMS = frozenset({"ops.numpy.Mean", "ops.numpy.Sum"})
"""Operations that average or add up, by module and class within `keras.src`."""


def rounds_in_one_direction(operation: Any) -> bool:
    """Return whether a layer or operation is one that this module computes in float64."""
    return type(operation) in POOLS | NORMS or private_name(type(operation)) in SUMS


def in_float64(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call one that `rounds_in_one_direction` in float64; its result has its usual dtype."""
    wide = operation.call if type(operation) in NORMS else operation
    if type(operation) in POOLS:
        wide = type(operation).from_config({**operation.get_config(), "dtype": "float64"})
    dtypes = [_dtype(x) for x in keras.tree.flatten(args) if _is_float(x)]
    if not dtypes:
        return operation(*args, **kwargs)
    found = wide(*keras.tree.map_structure(lambda x: _cast(x, "float64"), args), **kwargs)
    return keras.tree.map_structure(lambda y: _cast(y, dtypes[0]), found)


def _cast(x: Any, dtype: str) -> Any:
    return carry_over(x, keras.ops.cast(x, dtype)) if _is_float(x) else x


def _is_float(x: Any) -> bool:
    return hasattr(x, "dtype") and keras.backend.is_float_dtype(_dtype(x))


def _dtype(x: Any) -> str:
    return str(keras.backend.standardize_dtype(x.dtype))
