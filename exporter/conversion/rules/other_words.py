"""Operations of keras.ops that are traced in other words than Keras' own.

Keras' own code asks for something that only a run knows, such as whether a tensor is empty, or
uses an operation of TensorFlow that has no ONNX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kexport.conversion.builder import Graph
from kexport.conversion.tf2onnx_fallback import trace_call
from kexport.conversion.unsupported import NoRule

Rule = Callable[..., Any]


def in_other_words(words: Callable[..., Any], serves: Callable[..., bool]) -> Rule:
    """Make a rule that traces `words(operation, *args)` in the place of the operation.

    It serves the calls of which `serves(operation, *args)` is true.
    """

    def rule(g: Graph, operation: Any, *args: Any) -> Any:
        if not serves(operation, *args):
            raise NoRule("arguments for which Keras' own words are needed")
        return trace_call(g, operation, lambda *tensors: words(operation, *tensors), args)

    return rule


def _cross(operation: Any, left: Any, right: Any) -> Any:
    first, second = [1, 2, 0], [2, 0, 1]
    ahead = ops.multiply(ops.take(left, first, -1), ops.take(right, second, -1))
    return ahead - ops.multiply(ops.take(left, second, -1), ops.take(right, first, -1))


def _cross_of_three(operation: Any, left: Any, right: Any) -> bool:
    last = {operation.axisa, operation.axisb, operation.axisc} == {-1}
    return last and left.shape[-1] == 3 and right.shape[-1] == 3


def _inner(operation: Any, left: Any, right: Any) -> Any:
    return ops.tensordot(left, right, axes=[[-1], [-1]])


def _with_axes(operation: Any, left: Any, right: Any) -> bool:
    return len(left.shape) > 0 and len(right.shape) > 0


def _is_in(operation: Any, x: Any, wanted: Any) -> Any:
    """Compare each element with each of `wanted`."""
    wanted = ops.convert_to_tensor(wanted)
    dtype = keras.backend.result_type(x.dtype, wanted.dtype)
    row = ops.reshape(ops.cast(wanted, dtype), (-1,))
    found = ops.any(ops.equal(ops.expand_dims(ops.cast(x, dtype), -1), row), axis=-1)
    return ops.logical_not(found) if operation.invert else found


cross = in_other_words(_cross, _cross_of_three)
"""keras.ops.cross of vectors of three elements on the last axis."""

inner = in_other_words(_inner, _with_axes)
"""keras.ops.inner."""

is_in = in_other_words(_is_in, lambda operation, x, wanted: hasattr(x, "shape"))
"""keras.ops.isin."""
