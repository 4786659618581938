"""Rules for IntegerLookup, and for the class below it."""

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


def integer_lookup(g: Graph, layer: Any, x: Tensor) -> Any:
    """Convert IntegerLookup: the place of a number in the vocabulary, or the number at a place.

    Each number is compared with the whole vocabulary, so the work grows with its length. A number
    outside of it has an index below the vocabulary's; without one, where Keras stops, it is -1.
    """
    if layer.vocabulary_dtype == "string":
        refuse(layer, "vocabulary_dtype", "string", "numbers: look the words up before the model")
    if layer.sparse:
        refuse(layer, "sparse", True, "sparse=False")
    if layer.oov_method == "farmhash" and layer.num_oov_indices > 1:
        refuse(layer, "oov_method", layer.oov_method, "num_oov_indices=1, or 'floormod'")
    keys = np.asarray(layer.get_vocabulary(include_special_tokens=False), np.int64)
    if layer.invert:
        return trace_call(g, layer, lambda places: _words(layer, keys, places), (x,))
    size = layer.max_tokens if layer.pad_to_max_tokens else layer.vocabulary_size()

    def encoded(numbers: Any) -> Any:
        places = _places(layer, keys, numbers, dropped=size)
        if layer.output_mode == "int":
            return places
        mode = "count" if layer.output_mode == "tf_idf" else layer.output_mode
        bins = keras.layers.CategoryEncoding(size, mode, dtype="int64")(places)
        if layer.output_mode != "tf_idf":
            return ops.cast(bins, "int64")
        weights = keras.ops.convert_to_numpy(layer.idf_weights_const)
        return ops.multiply(ops.cast(bins, weights.dtype.name), weights)

    return trace_call(g, layer, encoded, (x,))


def _places(layer: Any, keys: Array, numbers: Any, dropped: int) -> Any:
    """Return the index of each number, in int64.

    The mask has an index of its own where the output is indices; it is counted nowhere else, and
    gets the index `dropped`.
    """
    masked = layer.mask_token is not None
    unknown = int(masked and layer.output_mode == "int")
    first = unknown + layer.num_oov_indices
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
        mask = ops.cast(0 if layer.output_mode == "int" else dropped, "int64")
        places = ops.where(ops.equal(numbers, layer.mask_token), mask, places)
    return places


def _words(layer: Any, keys: Array, places: Any) -> Any:
    """Return the number at each index, in int64; `oov_token` where there is none."""
    first = int(layer.mask_token is not None) + layer.num_oov_indices
    table = np.concatenate([np.full(first, layer.oov_token), keys, [layer.oov_token]])
    if layer.mask_token is not None:
        table[0] = layer.mask_token
    places = ops.cast(places, "int64")
    inside = ops.logical_and(places >= 0, places < len(table))
    last = ops.cast(len(table) - 1, "int64")
    return ops.take(ops.cast(table, "int64"), ops.where(inside, places, last), axis=0)
