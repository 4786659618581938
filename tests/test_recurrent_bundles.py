"""Recurrent layers of every form have bundles of a fixed batch, in float16 and for old opsets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops
from support import randomise

from kexport.api import export


class Minimal(layers.Layer):
    """A cell of one's own."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.state_size = units
        self.dense = layers.Dense(units, activation="tanh")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.dense.build((shape[0], shape[-1] + self.state_size))

    def call(self, x: Any, states: Any) -> Any:
        y = self.dense(ops.concatenate([x, states[0]], axis=-1))
        return y, [y]


def model() -> keras.Model:
    x = keras.Input((5, 6), name="series")
    masked = layers.Masking()(x)
    cells = layers.StackedRNNCells([layers.LSTMCell(3), Minimal(2)])
    parts = [
        layers.GRU(3)(x),
        layers.Bidirectional(layers.LSTM(2))(masked),
        layers.SimpleRNN(2, activation="gelu")(masked),
        layers.RNN(cells)(x),
        layers.Flatten()(layers.TimeDistributed(layers.Dense(2))(x)),
        layers.Flatten()(layers.ConvLSTM1D(2, 2)(layers.Reshape((5, 3, 2))(x))),
    ]
    return randomise(keras.Model(x, layers.Dense(3)(layers.Concatenate()(parts)), name="series"))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cpu-fp32", "trt-fp16", "jetson-orin-fp16"])
def test_a_bundle_of_batch_one(target: str, tmp_path: Path) -> None:
    bundle = export(model(), target, output=tmp_path / "bundle")
    assert bundle.manifest["inputs"][0]["shape"] == [1, 5, 6]


@pytest.mark.slow
def test_a_float16_bundle_of_sequences_of_any_length(tmp_path: Path) -> None:
    """A MatMul with float16 weights reads a Transpose here, which ended ONNX Runtime 1.32."""
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    _, *states = layers.LSTM(3, return_state=True)(layers.Masking()(source))
    y = layers.LSTM(3, return_sequences=True)(target, initial_state=states)
    whole = randomise(keras.Model([source, target], layers.Dense(2)(y)))
    assert export(whole, "trt-fp16", output=tmp_path / "bundle").manifest["parity"]
