"""Dtype policies, quantization and LoRA: what a layer computes in, and with which kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

OTHER_FLOATS = frozenset({"bfloat16", "float16", "float64"})
"""Types that Keras computes in, and a graph does not: the target decides its arithmetic."""


@contextmanager
def computing_in_float32(operation: Any) -> Iterator[None]:
    """Let a layer and all layers inside it compute in float32, whatever their policies say.

    The policies are set back at the end; the weights keep their types.
    """
    inside = operation._flatten_layers() if isinstance(operation, keras.Layer) else []
    before = [
        (layer, layer._dtype_policy) for layer in inside if layer.compute_dtype in OTHER_FLOATS
    ]
    try:
        for layer, policy in before:
            layer._dtype_policy = _in_float32(policy)
        yield
    finally:
        for layer, policy in before:
            layer._dtype_policy = policy


def is_quantized(layer: Any) -> bool:
    """Tell whether `Layer.quantize` changed how a layer computes."""
    return getattr(layer, "quantization_mode", None) is not None


def without_lora(layer: Any) -> Any:
    """Return the variable of a layer's kernel, to which LoRA adds in `layer.kernel`."""
    return layer._kernel


def _in_float32(policy: Any) -> Any:
    """Return a policy that computes in float32; variables are cast if theirs is another type."""
    mode = getattr(policy, "quantization_mode", None)
    new = keras.dtype_policies.get("float32" if mode is None else f"{mode}_from_float32")
    new._variable_dtype = policy.variable_dtype
    return new
