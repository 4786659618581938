"""Cells that no operator of ONNX computes are a Scan, with masks as in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from masked_inputs import FEATURES, PATTERNS, STEPS, sequences, sequential
from support import (
    Array,
    assert_converts,
    keras_answers,
    model_of,
    normal,
    operators,
    randomise,
    simplified,
)

KINDS = (layers.LSTM, layers.GRU, layers.SimpleRNN)


class Minimal(layers.Layer):
    """A cell of one's own."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.inner = self.add_weight(shape=(self.units, self.units), name="inner")

    def call(self, x: Any, states: Any) -> Any:
        y = ops.tanh(ops.matmul(x, self.kernel) + ops.matmul(states[0], self.inner))
        return y, [y]


class Pair(Minimal):
    """A cell with two states and an output of another size."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.state_size, self.output_size = [units, 1], 2 * units

    def call(self, x: Any, states: Any) -> Any:
        y = ops.tanh(ops.matmul(x, self.kernel) + ops.matmul(states[0], self.inner) + states[1])
        return ops.concatenate([y, -y], axis=-1), [y, states[1] + ops.mean(x, -1, keepdims=True)]


def masked_by_an_input(layer: Any, *shape: int) -> tuple[keras.Model, list[Array]]:
    """Build a model of a layer whose mask is an input, with states where `shape` is given."""
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    states = [keras.Input((size,)) for size in shape]
    given = {"initial_state": states} if states else {}
    model = randomise(keras.Model([x, mask, *states], layer(x, mask=mask, **given)))
    drawn = [normal(len(PATTERNS), size, seed=i + 1) for i, size in enumerate(shape)]
    return model, [sequences(), PATTERNS, *drawn]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gelu", "leaky_relu", "softmax"])
def test_activations_that_the_operators_lack(kind: Any, name: str) -> None:
    gates = {} if kind is layers.SimpleRNN else {"recurrent_activation": "silu"}
    for arguments in [{"activation": name}, *([gates] if gates else [])]:
        layer = kind(3, return_sequences=True, **arguments)
        assert not assert_converts(model_of(layer, (None, FEATURES)), sequences()).traced


def test_an_activation_of_ones_own_is_traced_within_the_body() -> None:
    layer = layers.GRU(3, activation=lambda x: ops.sin(x) * 0.5)
    assert_converts(model_of(layer, (STEPS, FEATURES)), sequences())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_forms_of_the_gru(bias: bool, after: bool) -> None:
    layer = layers.GRU(3, activation="gelu", use_bias=bias, reset_after=after)
    assert_converts(model_of(layer, (STEPS, FEATURES)), sequences())


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("state", [False, True])
def test_each_pattern_of_masks(sequence: bool, backwards: bool, zeroed: bool, state: bool) -> None:
    layer = layers.LSTM(
        5,
        activation="gelu",
        return_sequences=sequence,
        return_state=True,
        go_backwards=backwards,
        zero_output_for_mask=zeroed,
    )
    model, inputs = masked_by_an_input(layer, *((5, 5) if state else ()))
    assert not assert_converts(model, *inputs).traced


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_stacked_cells(sequence: bool, backwards: bool) -> None:
    cells = [layers.LSTMCell(3), layers.GRUCell(2, activation="gelu"), layers.SimpleRNNCell(4)]
    stack = layers.StackedRNNCells(cells)
    layer = layers.RNN(stack, return_sequences=sequence, return_state=True, go_backwards=backwards)
    model, inputs = masked_by_an_input(layer)
    converted = assert_converts(model, *inputs)
    assert not converted.traced
    assert {"LSTM", "Scan", "RNN"} <= set(operators(converted.model))


def test_stacked_cells_in_both_directions() -> None:
    cells = [layers.LSTMCell(3), layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)])]
    layer = layers.RNN(layers.StackedRNNCells(cells), return_sequences=True)
    assert_converts(sequential(layers.Bidirectional(layer)), sequences())


class Unchanged(Minimal):
    """A cell whose output is its input, and which never changes its state."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.output_size = FEATURES

    def call(self, x: Any, states: Any) -> Any:
        return x, states


def test_a_cell_that_makes_nothing_new() -> None:
    layer = layers.RNN(Unchanged(3), return_sequences=True, return_state=True)
    x, state = keras.Input((STEPS, FEATURES)), keras.Input((3,))
    model = keras.Model([x, state], layer(x, initial_state=[state]))
    assert_converts(model, sequences(), normal(len(PATTERNS), 3))


@pytest.mark.parametrize("cell", [Minimal, Pair])
@pytest.mark.parametrize("sequence", [False, True])
def test_a_cell_of_ones_own(cell: Any, sequence: bool) -> None:
    layer = layers.RNN(cell(3), return_sequences=sequence, return_state=True)
    model, inputs = masked_by_an_input(layer, *((3,) if cell is Minimal else (3, 1)))
    converted = assert_converts(model, *inputs)
    assert converted.traced == (layer.cell.name,)
    counted = operators(simplified(model))
    assert counted["Scan"] == 1
    assert "Loop" not in counted


def test_a_cell_of_ones_own_over_an_open_time_axis_and_two_batches() -> None:
    model = model_of(layers.RNN([Minimal(3), layers.GRUCell(2)]), (None, FEATURES))
    for batch, steps in [(1, 3), (4, 6)]:
        assert_converts(model, normal(batch, steps, FEATURES))


def test_a_layer_of_ones_own_within_time_distributed() -> None:
    layer = layers.TimeDistributed(layers.RNN(Minimal(3)))
    assert_converts(model_of(layer, (3, STEPS, FEATURES)), normal(2, 3, STEPS, FEATURES))


CONVOLUTIONS: list[tuple[Any, tuple[int, ...], dict[str, Any]]] = [
    (layers.ConvLSTM1D, (4, 9, 2), {"strides": 2, "padding": "same"}),
    (layers.ConvLSTM1D, (None, 9, 2), {"dilation_rate": 2, "use_bias": False}),
    (layers.ConvLSTM2D, (4, 6, 5, 2), {"padding": "same", "recurrent_activation": "hard_sigmoid"}),
    (layers.ConvLSTM2D, (4, 6, 5, 2), {"go_backwards": True, "activation": "relu"}),
    (layers.ConvLSTM3D, (3, 4, 4, 3, 2), {}),
]


@pytest.mark.parametrize(("kind", "shape", "arguments"), CONVOLUTIONS)
@pytest.mark.parametrize("sequence", [False, True])
def test_convolutions(kind: Any, shape: Any, arguments: dict[str, Any], sequence: bool) -> None:
    layer = kind(3, 2, return_sequences=sequence, return_state=True, **arguments)
    model = model_of(layer, shape)
    for batch in (1, 3):
        converted = assert_converts(model, normal(batch, *(size or 5 for size in shape)))
        assert not converted.traced


def test_channels_first() -> None:
    """TensorFlow has no such convolution on CPUs: the same weights give the same otherwise."""
    first = layers.ConvLSTM2D(3, 2, data_format="channels_first", return_sequences=True)
    last = layers.ConvLSTM2D(3, 2, return_sequences=True)
    model, twin = model_of(first, (4, 2, 6, 5)), model_of(last, (4, 6, 5, 2))
    x = normal(2, 4, 2, 6, 5)
    wanted = keras_answers(twin, [np.moveaxis(x, 2, -1)])
    assert_converts(model, x, expected=[np.moveaxis(wanted[0], -1, 2)])


def test_a_convolution_with_masks_and_states() -> None:
    x, mask = keras.Input((STEPS, 6, 2)), keras.Input((STEPS,), dtype="bool")
    states = [keras.Input((6, 3)) for _ in range(2)]
    layer = layers.ConvLSTM1D(3, 3, padding="same", return_sequences=True)
    model = randomise(keras.Model([x, mask, *states], layer(x, mask=mask, initial_state=states)))
    drawn = [normal(len(PATTERNS), 6, 3, seed=i) for i in (1, 2)]
    assert_converts(model, normal(len(PATTERNS), STEPS, 6, 2), PATTERNS, *drawn)


def test_a_convolution_in_both_directions() -> None:
    inner = layers.ConvLSTM2D(2, 2, return_sequences=True)
    assert_converts(model_of(layers.Bidirectional(inner), (4, 6, 5, 2)), normal(2, 4, 6, 5, 2))


def test_weights_are_outside_of_the_body_and_shared() -> None:
    layer = layers.ConvLSTM1D(2, 2, name="cell")
    x, y = keras.Input((4, 6, 2)), keras.Input((4, 6, 2))
    model = randomise(keras.Model([x, y], layers.Add()([layer(x), layer(y)])))
    graph = simplified(model).graph
    kernels = [name for name in graph.initializers if name.endswith("kernel")]
    assert kernels == ["cell/kernel", "cell/recurrent_kernel"]
    assert_converts(model, normal(2, 4, 6, 2), normal(2, 4, 6, 2, seed=1))


def test_unrolled_backwards_masks_are_those_of_keras() -> None:
    """Keras masks unrolled outputs in the order of the input, though they are turned round."""
    layer = layers.GRU(
        3, unroll=True, go_backwards=True, zero_output_for_mask=True, return_sequences=True
    )
    model, inputs = masked_by_an_input(layer)
    assert_converts(model, *inputs)


def test_a_cell_with_initial_states_of_its_own_is_traced_whole() -> None:
    class Started(Minimal):
        def get_initial_state(self, batch_size: Any = None) -> Any:
            return [ops.ones((batch_size, self.units))]

    layer = layers.RNN(Started(3))
    converted = assert_converts(model_of(layer, (STEPS, FEATURES)), normal(2, STEPS, FEATURES))
    assert converted.traced == (layer.name,)
