"""What reads an input, found in the graph of the model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import Tokens, model_of

from kexport.parity.samples.uses import Gaussian, Ids, Mask, MaskValue, Range, uses_of


def of(build: Any, *shape: Any, dtype: str = "float32") -> set[Any]:
    x = keras.Input(shape, dtype=dtype)
    (uses,) = uses_of(keras.Model(x, build(x)))
    return set(uses)


@pytest.mark.parametrize(
    ("build", "shape", "dtype", "wanted"),
    [
        (layers.Embedding(9, 3), (7,), "int32", {Ids(9)}),
        (layers.Embedding(9, 3, mask_zero=True), (7,), "int32", {Ids(9), MaskValue(0)}),
        (layers.TimeDistributed(layers.Embedding(9, 3)), (7, 2), "int32", {Ids(9)}),
        (layers.CategoryEncoding(6), (7,), "int32", {Ids(6)}),
        (lambda x: ops.one_hot(x, 5), (7,), "int32", {Ids(5)}),
        (lambda x: ops.take(ops.ones((8, 2)), x, axis=0), (7,), "int32", {Ids(8)}),
        (lambda x: layers.Embedding(9, 3)(ops.reshape(x, (-1, 14))), (7, 2), "float32", {Ids(9)}),
        (lambda x: layers.Embedding(9, 3)(layers.Flatten()(x)), (7, 2), "int32", {Ids(9)}),
        (layers.Masking(-1.0), (7, 2), "float32", {MaskValue(-1.0)}),
        (lambda x: ops.not_equal(x, 3), (7,), "int32", {MaskValue(3)}),
        (layers.Rescaling(1 / 255), (8, 8, 4), "float32", {Range(0, 255)}),
        (layers.Rescaling(1 / 127.5, offset=-1), (8, 8, 4), "float32", {Range(0, 255)}),
        (layers.Dense(3), (7,), "float32", set()),
    ],
)
def test_what_reads_an_input(build: Any, shape: Any, dtype: str, wanted: set[Any]) -> None:
    found = of(build, *shape, dtype=dtype)
    assert {type(use) for use in found} == {type(use) for use in wanted}
    for use in wanted:
        if isinstance(use, Range):
            (own,) = found
            np.testing.assert_allclose([own.low, own.high], [use.low, use.high])
        else:
            assert use in found


def test_inner_models_are_followed() -> None:
    inner = keras.Sequential([keras.Input((7,), dtype="int32"), layers.Embedding(9, 3)])
    deeper = keras.Sequential([keras.Input((7,), dtype="int32"), layers.Identity(), inner])
    assert of(deeper, 7, dtype="int32") == {Ids(9)}


def test_what_an_inner_model_passes_on_is_followed() -> None:
    inner = keras.Sequential([keras.Input((7,), dtype="int32"), layers.Identity()])
    assert of(lambda x: layers.Embedding(9, 3)(inner(x)), 7, dtype="int32") == {Ids(9)}


def test_masks_are_arguments_of_layers() -> None:
    x, m, a = keras.Input((7, 4)), keras.Input((7,), dtype="bool"), keras.Input((7, 7))
    y = layers.LSTM(3)(x, mask=m)
    z = layers.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.cast(a, "bool"))
    assert uses_of(keras.Model([x, m, a], [y, z])) == [(), (Mask(),), (Mask(),)]


def test_a_normalised_input_has_the_layers_mean_and_deviation() -> None:
    layer = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    (use,) = uses_of(model_of(layer, (2,)))[0]
    assert isinstance(use, Gaussian)
    np.testing.assert_allclose(use.mean, [1, 2])
    np.testing.assert_allclose(use.deviation, [2, 3])


def test_tables_inside_a_custom_layer_are_candidates() -> None:
    assert of(Tokens(), 7, dtype="int32") == {Ids(7), Ids(50)}
