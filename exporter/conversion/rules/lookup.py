"""Rule for IntegerLookup."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor
from kexport.conversion.tf2onnx_fallback import trace_call
from kexport.conversion.unsupported import refuse

MODES = ("int", "one_hot", "multi_hot", "count")


def integer_lookup(g: Graph, layer: Any, x: Tensor) -> Any:
    """Convert IntegerLookup: the place of a number in the vocabulary.

    Each number is compared with the whole vocabulary, so the work grows with its length. A number
    outside of it has an index below the vocabulary's; without one, where Keras stops, it is -1.
    """
    if layer.output_mode not in MODES:
        refuse(layer, "output_mode", layer.output_mode, f"one of {', '.join(MODES)}")
    if layer.invert:
        refuse(layer, "invert", layer.invert, "a Gather of the words after the model")
    if layer.oov_method == "farmhash" and layer.num_oov_indices > 1:
        refuse(layer, "oov_method", layer.oov_method, "num_oov_indices=1, or 'floormod'")

    keys = np.asarray(layer.get_vocabulary(include_special_tokens=False), np.int64)
    size = layer.max_tokens if layer.pad_to_max_tokens else layer.vocabulary_size()

    def words(numbers: Any) -> Any:
        places = _places(layer, keys, numbers)
        if layer.output_mode == "int":
            return places
        encoding = keras.layers.CategoryEncoding(size, layer.output_mode, dtype=layer.compute_dtype)
        return ops.cast(encoding(places), layer.compute_dtype)

    return trace_call(g, layer, words, (x,))


def _places(layer: Any, keys: Array, numbers: Any) -> Any:
    """Return the index of each number, in int64."""
    masked = layer.mask_token is not None
    unknown, first = int(masked), int(masked) + layer.num_oov_indices
    numbers = ops.cast(numbers, "int64")
    hits = ops.equal(ops.expand_dims(numbers, -1), keys)
    steps = ops.cast(np.arange(len(keys)) + first + 1, "int64")
    zero = ops.cast(0, "int64")
    found = ops.sum(ops.where(hits, steps, zero), axis=-1)  # 0 where no key is equal
    if layer.num_oov_indices > 1:
        other = ops.mod(numbers, ops.cast(layer.num_oov_indices, "int64")) + unknown
    else:
        other = ops.cast(unknown if layer.num_oov_indices else -1, "int64")
    places = ops.where(ops.equal(found, 0), other, found - 1)
    if masked:
        places = ops.where(ops.equal(numbers, layer.mask_token), zero, places)
    return places
