"""Layers quantized to float8, with the rounding of their numbers in float32 operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from keras.src import quantizers

FORMATS = {"float8_e4m3fn": (3, 2.0**-6, 448.0), "float8_e5m2": (2, 2.0**-14, 57344.0)}
"""Bits of the mantissa, smallest normal number and largest number (P. Micikevicius et al., "FP8
formats for deep learning", 2022, table 1)."""


@contextmanager
def float8_by_arithmetic() -> Iterator[None]:
    """Let layers that are quantized to float8 round by arithmetic, without a tensor of that type.

    tf2onnx cannot write such tensors, and few engines read them.
    """
    before = quantizers.quantize_and_dequantize
    quantizers.quantize_and_dequantize = rounded
    try:
        yield
    finally:
        quantizers.quantize_and_dequantize = before


def rounded(inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: str) -> Any:
    """Return what `keras.quantizers.quantize_and_dequantize` returns for a float8 type.

    A number is rounded to even in steps of 2^(e - bits), where 2^e is the largest power of two up
    to it, and no less than the smallest normal number. A logarithm that is rounded across a power
    of two changes nothing: the nearest multiple of either step is that power.
    """
    bits, smallest, largest = FORMATS[quantized_dtype]
    scale = ops.cast(scale, compute_dtype)
    x = ops.clip(ops.divide(inputs, scale), -largest, largest)
    exponent = ops.floor(ops.log2(ops.maximum(ops.abs(x), smallest)))
    step = ops.power(ops.cast(2.0, compute_dtype), exponent - bits)
    return ops.multiply(ops.multiply(ops.round(ops.divide(x, step)), step), scale)


def float8_biases(layer: Any) -> list[Any]:
    """Return the biases that layers in float8 round to bfloat16 before they add them."""
    inside = layer._flatten_layers() if isinstance(layer, keras.Layer) else []
    found = [x for x in inside if getattr(x, "quantization_mode", None) == "float8"]
    return [x.bias for x in found if getattr(x, "bias", None) is not None]


def rounded_to_bfloat16(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return float32 numbers rounded to bfloat16, which tf2onnx leaves out."""
    result: npt.NDArray[np.float32] = ops.convert_to_numpy(
        ops.cast(ops.cast(values, "bfloat16"), "float32")
    )
    return result
