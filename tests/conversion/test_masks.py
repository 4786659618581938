"""Masks go from layer to layer as in Keras, and change what layers compute as in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from layer_examples import EXAMPLES, Example
from masked_inputs import (
    FEATURES,
    PATTERNS,
    STEPS,
    Reveal,
    functional,
    sequences,
    sequential,
    tokens,
)
from support import assert_converts, keras_answers, normal, randomise
from tensorflow.errors import InvalidArgumentError

from kexport.conversion import convert_model
from kexport.errors import UnsupportedModel

POOL = layers.GlobalAveragePooling1D


CHAINS: dict[str, Any] = {
    "pooling": lambda: [POOL()],
    "pooling-keepdims": lambda: [POOL(keepdims=True)],
    "pooling-channels-first": lambda: [layers.Permute((2, 1)), POOL("channels_first")],
    "passed-on": lambda: [
        layers.Dense(5),
        layers.Dropout(0.3),
        layers.Activation("relu"),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.SpatialDropout1D(0.1),
        POOL(),
    ],
    "dropped": lambda: [layers.Conv1D(5, 2), layers.GRU(3)],
    "dropped-unchanged": lambda: [layers.Cropping1D(0), layers.ZeroPadding1D(0), Reveal()],
    "time-distributed": lambda: [layers.TimeDistributed(layers.Dense(3)), layers.LSTM(3)],
    "lambda": lambda: [layers.Lambda(lambda x: x * 2.0, mask=lambda x, mask: mask), POOL()],
    "lambda-without": lambda: [layers.Lambda(lambda x: x * 2.0), Reveal()],
    "inner": lambda: [
        keras.Sequential([keras.Input((STEPS, FEATURES)), layers.Dense(3), layers.LSTM(4)])
    ],
    "inner-mask": lambda: [
        keras.Sequential([keras.Input((STEPS, FEATURES)), layers.Masking(0.5), layers.Dense(3)]),
        POOL(),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_sequential(name: str) -> None:
    assert_converts(sequential(*CHAINS[name]()), sequences())


def test_a_mask_value_of_ones_own() -> None:
    first = [keras.Input((STEPS, FEATURES)), layers.Masking(mask_value=-1.0)]
    model = randomise(keras.Sequential([*first, layers.GRU(3)]))
    assert_converts(model, sequences(value=-1.0))


class Scaled(layers.Layer):
    """A layer of one's own that shortens the mask, and reads the one that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        return x if mask is None else x * ops.cast(ops.sum(mask, axis=1), "float32")[:, None, None]

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return None if mask is None else ops.logical_and(mask, ops.roll(mask, 1, axis=1))

    def compute_output_spec(self, x: Any, mask: Any = None) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def residual(y: Any) -> Any:
    """Keras takes the mask away from `y` when it calls MultiHeadAttention."""
    total = layers.Add()([y, layers.MultiHeadAttention(2, 3)(y, y)])
    return [Reveal()(total), Reveal()(y), POOL()(layers.LayerNormalization()(total))]


GRAPHS: dict[str, Any] = {
    "attention": lambda y: layers.Attention()([y, y]),
    "attention-causal": lambda y: layers.Attention()([y, y], use_causal_mask=True),
    "attention-then": lambda y: POOL()(layers.Attention()([layers.Dense(4)(y), y])),
    "additive-attention": lambda y: layers.AdditiveAttention()([y, y]),
    "multi-head": lambda y: layers.MultiHeadAttention(2, 3)(y, y),
    "multi-head-scores": lambda y: layers.MultiHeadAttention(2, 3)(
        y, y, return_attention_scores=True
    ),
    "multi-head-then": lambda y: POOL()(layers.MultiHeadAttention(2, 3)(y, y)),
    "grouped-query": lambda y: layers.GroupQueryAttention(3, 4, 2)(y, y),
    "residual": residual,
    "concatenate": lambda y: POOL()(layers.Concatenate()([y, layers.Dense(3)(y)])),
    "concatenate-steps": lambda y: POOL()(layers.Concatenate(axis=1)([y, layers.Conv1D(4, 2)(y)])),
    "add-one-masked": lambda y: Reveal()(layers.Add()([y, layers.Conv1D(4, 1)(y)])),
    "own": lambda y: POOL()(Scaled()(y)),
    "operation": lambda y: Reveal()(y * 2.0),
    "pair": lambda y: POOL()(
        layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode=None)(y)[1]
    ),
    "state": lambda y: POOL()(layers.LSTM(3, return_sequences=True, return_state=True)(y)[0]),
    "twice": lambda y: POOL()(layers.Masking(0.25)(y)),
    "softmax": lambda y: layers.Softmax(axis=1)(
        layers.Conv1D(1, 1)(y), mask=ops.any(ops.not_equal(y, 0.0), axis=-1, keepdims=True)
    ),
}
GRAPHS |= {
    kind.__name__: lambda y, kind=kind: (lambda z: [z, Reveal()(z)])(
        kind()([y, layers.Masking(0.125)(layers.Dense(4)(y))])
    )
    for kind in (
        layers.Add,
        layers.Average,
        layers.Maximum,
        layers.Minimum,
        layers.Multiply,
        layers.Subtract,
    )
}


@pytest.mark.parametrize("name", GRAPHS)
def test_functional(name: str) -> None:
    assert_converts(functional(GRAPHS[name]), sequences())


def embedded(build: Any) -> keras.Model:
    x = keras.Input((STEPS,), dtype="int32")
    return randomise(keras.Model(x, build(layers.Embedding(9, 4, mask_zero=True)(x))))


@pytest.mark.parametrize(
    "build",
    [
        lambda e: layers.LSTM(3)(e),
        lambda e: POOL()(e),
        lambda e: layers.Attention()([e, e]),
        lambda e: Reveal()(layers.Add()([e, layers.Dense(4)(e)])),
    ],
)
def test_embedding(build: Any) -> None:
    assert_converts(embedded(build), tokens())


def test_a_mask_from_inside_an_inner_model() -> None:
    ids = keras.Input((STEPS,), dtype="int32")
    inner = keras.Model(ids, layers.Embedding(9, 4, mask_zero=True)(ids))
    x = keras.Input((STEPS,), dtype="int32")
    assert_converts(randomise(keras.Model(x, POOL()(inner(x)))), tokens())


def test_an_encoder_and_a_decoder() -> None:
    """The states of an encoder, attention across two sequences with masks of their own."""
    a, b = (keras.Input((STEPS,), dtype="int32", name=name) for name in "ab")
    embed = layers.Embedding(9, 4, mask_zero=True)
    y, *states = layers.LSTM(4, return_sequences=True, return_state=True)(embed(a))
    z = layers.LSTM(4, return_sequences=True)(embed(b), initial_state=states)
    across = layers.MultiHeadAttention(2, 3)(z, y)
    model = randomise(keras.Model([a, b], [POOL()(across), POOL()(layers.Attention()([z, y]))]))
    assert_converts(model, tokens(), tokens(1)[::-1].copy())


def test_inputs_that_are_masks() -> None:
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    outputs = [
        layers.LSTM(3)(x, mask=mask),
        POOL()(x, mask=mask),
        layers.Attention()([x, x], mask=[mask, mask]),
        layers.MultiHeadAttention(2, 3)(x, x, value_mask=mask),
        layers.BatchNormalization()(x, mask=mask),
    ]
    assert_converts(randomise(keras.Model([x, mask], outputs)), sequences(), PATTERNS)


def test_masks_by_position() -> None:
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    outputs = [
        layers.LSTM(3)(x, None, mask),
        POOL()(x, mask),
        layers.Softmax(axis=1)(x[:, :, 0], mask),
    ]
    assert_converts(randomise(keras.Model([x, mask], outputs)), sequences(), PATTERNS)


def test_a_mask_that_is_given_to_an_inner_model() -> None:
    inner = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.Dense(3), POOL()])
    x, mask = keras.Input((STEPS, FEATURES)), keras.Input((STEPS,), dtype="bool")
    model = randomise(keras.Model([x, mask], inner(x, mask=mask)))
    assert_converts(model, sequences(), PATTERNS)


def test_an_inner_model_of_two_masked_inputs() -> None:
    a, b = keras.Input((STEPS, FEATURES)), keras.Input((STEPS, FEATURES))
    inner = keras.Model([a, b], layers.Concatenate()([POOL()(a), layers.GRU(2)(b)]))
    x = keras.Input((STEPS, FEATURES))
    model = keras.Model(x, inner([layers.Masking()(x), layers.Masking()(layers.ReLU()(x))]))
    assert_converts(randomise(model), sequences())


class Own(keras.Model):
    """A functional model with a mask of its own."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.greater(inputs, 0.5), axis=-1)


def test_a_model_with_a_mask_of_its_own() -> None:
    a = keras.Input((STEPS, FEATURES))
    inner = Own(a, layers.Dense(3)(a))
    assert_converts(functional(lambda y: Reveal()(inner(y))), sequences())


class First(layers.Layer):
    """Return the first of two tensors, with the mask of the second."""

    def call(self, pair: Any, training: Any = None) -> Any:
        return pair[0] * 1.0

    def compute_mask(self, pair: Any, mask: Any = None) -> Any:
        return mask[1]


def test_a_model_without_recorded_calls() -> None:
    """A Sequential model of a structure of tensors calls its layers one after the other."""
    inner = keras.Sequential([First(), layers.Dense(3), POOL()])
    model = functional(lambda y: inner([y, layers.Masking()(layers.ReLU()(y[:, ::-1]))]))
    assert_converts(model, sequences())


@pytest.mark.slow
def test_a_mask_of_a_layer_that_tf2onnx_writes_as_a_loop() -> None:
    x, mask = keras.Input((STEPS, 3, 2)), keras.Input((STEPS,), dtype="bool")
    model = randomise(keras.Model([x, mask], layers.ConvLSTM1D(2, 2)(x, mask=mask)))
    assert_converts(model, normal(len(PATTERNS), STEPS, 3, 2), PATTERNS)


def test_a_subclassed_model() -> None:
    class Reader(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed = layers.Embedding(9, 4, mask_zero=True)
            self.pool = POOL()

        def call(self, x: Any) -> Any:
            return self.pool(self.embed(x))

    model = Reader()
    model(tokens())
    assert_converts(randomise(model), tokens().astype(np.float32))


def test_training_that_a_graph_recorded_is_ignored_as_by_predict() -> None:
    x = keras.Input((STEPS, FEATURES))
    y = layers.BatchNormalization()(layers.Dropout(0.5)(x, training=True), training=True)
    inner = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.GaussianNoise(1.0)])
    model = randomise(keras.Model(x, inner(y, training=True)))
    expected = model.predict(sequences(), verbose=0)
    assert_converts(model, sequences(), expected=[expected])


def test_another_argument_of_the_call_of_an_inner_model_is_refused() -> None:
    class Moded(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self._register_call_context_args("mode")

        def call(self, x: Any, mode: bool = False) -> Any:
            return x + 1.0 if mode else x

    inner = keras.Sequential([keras.Input((4,)), Moded()], name="moded")
    inner._register_call_context_args("mode")
    x = keras.Input((4,))
    model = keras.Model(x, inner(x, mode=True))
    with pytest.raises(UnsupportedModel, match=r"'moded' .* mode=True"):
        convert_model(model)


def masked_example(example: Example) -> keras.Model:
    """Put Masking before a layer and Reveal behind it."""
    inputs = [keras.Input(shape) for shape in example.shapes]
    masked = [layers.Masking()(x) for x in inputs]
    layer = example.make()
    if len(inputs) == 1:
        outputs = layer(masked[0])
    else:
        outputs = layer(*masked) if example.spread else layer(masked)
    flat = keras.tree.flatten(outputs)
    return randomise(keras.Model(inputs, [*flat, *(Reveal()(y) for y in flat)]))


SEQUENCES = {
    name: example
    for name, example in EXAMPLES.items()
    if example.dtype == "float32" and len(example.shapes[0]) > 1
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_layer_keeps_or_drops_the_mask_as_in_keras(name: str) -> None:
    inputs = []
    for i, shape in enumerate(SEQUENCES[name].shapes):
        x = normal(3, *shape, seed=i)
        x[0, -2:] = x[1, :2] = x[2, 1] = 0.0
        inputs.append(x)
    try:
        model = masked_example(SEQUENCES[name])
        wanted = keras_answers(model, inputs)
    except (ValueError, TypeError, InvalidArgumentError):
        pytest.skip("Keras refuses the mask")
    assert_converts(model, *inputs, expected=wanted)


@pytest.mark.parametrize("value", [0.0, -1.5])
@pytest.mark.parametrize("shape", [(STEPS, FEATURES), (3, STEPS, FEATURES), (FEATURES,)])
def test_masking_is_by_rule(value: float, shape: tuple[int, ...]) -> None:
    x = keras.Input(shape)
    model = keras.Model(x, layers.Dense(2)(layers.Masking(value)(x)))
    drawn = normal(4, *shape)
    drawn[1], drawn[2, ..., 1:] = value, value
    assert not assert_converts(randomise(model), drawn).traced


def test_masking_of_whole_numbers() -> None:
    x = keras.Input((STEPS, 2), dtype="int32")
    values = np.random.default_rng(0).integers(0, 2, (5, STEPS, 2)).astype(np.int32)
    model = keras.Model(x, Reveal()(layers.Masking(0, dtype="int32")(x)))
    assert_converts(model, values)
