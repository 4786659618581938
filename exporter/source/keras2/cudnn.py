"""Weights of CuDNNLSTM and CuDNNGRU, for the layers LSTM and GRU of the same numbers.

cuDNN keeps the kernel of each gate transposed, and two biases one behind the other, of the input
and of the state, which LSTM adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kexport.arrays import Array

GATES: dict[type, int] = {keras.layers.LSTM: 4, keras.layers.GRU: 3}


def converted(layer: Any, arrays: Sequence[Array]) -> list[Array]:
    """Return the weights of an LSTM or GRU, or of a Bidirectional of these, as Keras 3 has them.

    Those of any other layer, and those that cuDNN did not write, are returned as they are.
    """
    if isinstance(layer, keras.layers.Bidirectional):
        half = len(arrays) // 2
        ahead = converted(layer.forward_layer, arrays[:half])
        return ahead + converted(layer.backward_layer, arrays[half:])
    gates = GATES.get(type(layer))
    if gates is None or len(arrays) != 3 or arrays[2].shape != (2 * gates * layer.units,):
        return list(arrays)
    kernel, recurrent, bias = arrays
    biases = bias.reshape(2, -1)
    return [
        _each_gate(kernel, gates, lambda k: k.T.reshape(k.shape, order="F")),
        _each_gate(recurrent, gates, np.transpose),
        biases.sum(axis=0) if gates == GATES[keras.layers.LSTM] else biases,
    ]


def _each_gate(kernel: Array, gates: int, change: Any) -> Array:
    return np.concatenate([change(part) for part in np.split(kernel, gates, axis=1)], axis=1)
