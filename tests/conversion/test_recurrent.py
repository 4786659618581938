"""Recurrent layers are one node of ONNX each, and skip masked steps as Keras does."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers
from masked_inputs import FEATURES, PATTERNS, STEPS, functional, sequences, sequential
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


def masked_by_an_input(layer: Any, masked: bool) -> tuple[keras.Model, list[Array]]:
    """Build a model of a layer whose mask, if it has one, is an input."""
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    model = keras.Model([x, mask], layer(x, mask=mask)) if masked else keras.Model(x, layer(x))
    return randomise(model), [sequences(), *([PATTERNS] if masked else [])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("zeroed", [False, True])
def test_each_pattern_of_masks(
    kind: Any, masked: bool, sequence: bool, backwards: bool, zeroed: bool
) -> None:
    layer = kind(
        5,
        return_sequences=sequence,
        return_state=True,
        go_backwards=backwards,
        zero_output_for_mask=zeroed,
    )
    model, inputs = masked_by_an_input(layer, masked)
    assert not assert_converts(model, *inputs).traced


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("merge", "sequence", "state"),
    [
        ("concat", False, True),
        ("sum", True, False),
        ("ave", True, True),
        ("mul", False, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_bidirectional(kind: Any, masked: bool, merge: Any, sequence: bool, state: bool) -> None:
    inner = kind(3, return_sequences=sequence, return_state=state)
    layer = layers.Bidirectional(inner, merge_mode=merge)
    model, inputs = masked_by_an_input(layer, masked)
    assert not assert_converts(model, *inputs).traced


def test_bidirectional_with_a_backward_layer_of_its_own() -> None:
    ahead = layers.GRU(3, return_sequences=True, go_backwards=True)
    back = layers.SimpleRNN(5, return_sequences=True)
    assert_converts(sequential(layers.Bidirectional(ahead, backward_layer=back)), sequences())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_initial_states(kind: Any, masked: bool, explicit: bool) -> None:
    """Keras fills in no mask beside initial states; one that is given counts."""
    count = 2 if kind is layers.LSTM else 1
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    states = [keras.Input((5,)) for _ in range(count)]
    y = layers.Masking()(x) if masked else x
    given = {"mask": mask} if explicit else {}
    out = kind(5, return_state=True)(y, initial_state=states, **given)
    model = randomise(keras.Model([x, *([mask] if explicit else []), *states], out))
    values = sequences()
    drawn = [normal(len(values), 5, seed=i + 1) for i in range(count)]
    assert_converts(model, values, *([values.any(-1)] if explicit else []), *drawn)


@pytest.mark.parametrize("masked", [False, True])
def test_initial_states_of_both_directions(masked: bool) -> None:
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    states = [keras.Input((3,)) for _ in range(4)]
    layer = layers.Bidirectional(layers.LSTM(3, return_sequences=True, return_state=True))
    y = layer(x, initial_state=states, **({"mask": mask} if masked else {}))
    model = randomise(keras.Model([x, *([mask] if masked else []), *states], y))
    drawn = [normal(len(PATTERNS), 3, seed=i + 1) for i in range(4)]
    assert_converts(model, sequences(), *([PATTERNS] if masked else []), *drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_is_computed_in_float32(kind: Any) -> None:
    plain, mixed = kind(4), kind(4, dtype="mixed_float16")
    model, twin = (model_of(layer, (STEPS, FEATURES)) for layer in (mixed, plain))
    wanted = keras_answers(twin, [sequences()])
    assert not assert_converts(model, sequences(), expected=wanted).traced


CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)


@pytest.mark.parametrize("cell", CELLS)
def test_rnn_of_a_known_cell(cell: Any) -> None:
    layer = layers.RNN(cell(4), return_sequences=True)
    assert layer.name not in assert_converts(sequential(layer), sequences()).traced


ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear", "hard_sigmoid", "softsign", "softplus", "elu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(kind: Any, name: str) -> None:
    gates = {} if kind is layers.SimpleRNN else {"recurrent_activation": name}
    for arguments in [{"activation": name}, *([gates] if gates else [])]:
        layer = kind(3, use_bias=False, **arguments)
        model = model_of(layer, (STEPS, FEATURES))
        assert layer.name not in assert_converts(model, sequences()).traced


@pytest.mark.parametrize("bias", [False, True])
def test_gru_with_the_reset_before_the_product(bias: bool) -> None:
    assert_converts(sequential(layers.GRU(4, reset_after=False, use_bias=bias)), sequences())


@pytest.mark.parametrize("kind", KINDS)
def test_unrolled(kind: Any) -> None:
    assert_converts(sequential(kind(4, unroll=True, return_sequences=True)), sequences())


def test_stacked_with_a_mask_in_between() -> None:
    inner = (layers.LSTM(3, return_sequences=True), layers.Bidirectional(layers.GRU(3)))
    assert_converts(sequential(layers.LSTM(3, return_sequences=True), *inner), sequences())


def test_an_open_time_axis() -> None:
    x = keras.Input((None, FEATURES))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Masking()(x))
    model = randomise(keras.Model(x, layers.GRU(2)(y)))
    assert_converts(model, sequences())


@pytest.mark.parametrize(("kind", "name"), list(zip(KINDS, ("LSTM", "GRU", "RNN"), strict=True)))
def test_a_layer_is_one_node(kind: Any, name: str) -> None:
    counted = operators(simplified(functional(kind(4))))
    assert counted[name] == 1
    assert not set(counted) & {"Loop", "Scan", "If"}


def test_a_shared_layer_has_its_weights_once() -> None:
    layer = layers.LSTM(4)
    x, y = keras.Input((STEPS, FEATURES)), keras.Input((STEPS, FEATURES))
    model = randomise(keras.Model([x, y], layers.Add()([layer(x), layer(y)])))
    converted = assert_converts(model, sequences(), sequences(1))
    kept = converted.model.graph.initializers
    assert sum(name.startswith("lstm") and name.endswith("kernel") for name in kept) == 2
