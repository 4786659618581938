"""Operations that tf2onnx lacks or writes wrongly, on the numbers at which they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import Array, assert_converts, keras_answers, model_of, normal, onnx_answers, randomise

import kexport
from kexport.conversion import convert_model
from kexport.errors import UnsupportedModel

inf, nan = np.inf, np.nan
ODD = np.float32([[nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.5], [1e-30, 1e30, 3, -3, nan, 7, -7, 0]])
OTHER = np.float32([[1.0, 2.0, nan, -1.0, -1.0, inf, 0.3, -2], [nan, 1, 2, 2, nan, -3, -3, 1]])
WHOLE = np.array([[-7, 7, -8, 8, 0, 3, -3, 5], [9, -9, 6, -6, 1, -1, 2, -2]])
BY = np.array([[3, -3, 4, -4, 5, -2, 2, -5], [2, 2, -4, 4, 3, 3, -3, -3]])
FLOATS = [ODD, OTHER]
WHOLES = [WHOLE.astype(np.int32), BY.astype(np.int32)]

CASES: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    "mod": (ops.mod, FLOATS),
    "mod of whole numbers": (ops.mod, WHOLES),
    "fmod": (ops.fmod, FLOATS),
    "fmod of whole numbers": (ops.fmod, WHOLES),
    "floor_divide": (ops.floor_divide, WHOLES),
    "fmax": (ops.fmax, FLOATS),
    "fmin": (ops.fmin, FLOATS),
    "where": (lambda x, y: ops.where(x > y, x, y), FLOATS),
    "heaviside": (ops.heaviside, FLOATS),
    "arctan2": (ops.arctan2, FLOATS),
    "nan_to_num": (ops.nan_to_num, [ODD]),
    "nan_to_num of int64": (ops.nan_to_num, [WHOLE]),
    "signbit": (ops.signbit, [ODD]),
    "trunc": (ops.trunc, [ODD]),
    "expm1": (ops.expm1, [np.float32([[1e-7, -1e-7, 0, 40, -100, inf, -inf, nan]])]),
    "log1p": (ops.log1p, [np.float32([[1e-7, -1e-7, 0, 40, -1, inf, 1e-30, nan]])]),
    "hard_shrink": (ops.hard_shrink, [ODD]),
    "isnan of whole numbers": (ops.isnan, WHOLES[:1]),
    "isfinite of whole numbers": (ops.isfinite, WHOLES[:1]),
    "isin": (lambda x: ops.isin(x, [3, -8, 100]), WHOLES[:1]),
    "digitize": (lambda x: ops.digitize(x, np.float32([-1, 0, 2.5])), [ODD]),
    "one_hot out of range": (lambda x: ops.one_hot(x, 4), WHOLES[:1]),
    "square of whole numbers": (lambda x: ops.power(x, 2), WHOLES[:1]),
    "triu": (lambda x: ops.triu(ops.reshape(x, (-1, 2, 4)), 1), [ODD]),
    "scatter of the same place": (lambda x: ops.scatter([[1], [1]], x, (3, 4)), [OTHER[:, ::2]]),
    "einsum with an ellipsis": (lambda x: ops.einsum("...i,...i->...", x, x), [normal(2, 3)]),
    "conj of real numbers": (ops.conj, [ODD]),
    "diag": (lambda x: ops.diag(x[0]), [ODD]),
    "hypot": (ops.hypot, [normal(2, 3), normal(2, 3, seed=1)]),
    "quantile": (lambda x: ops.quantile(x, 0.3), [normal(2, 5)]),
    "bitwise_left_shift": (lambda x: ops.bitwise_left_shift(x, 2), WHOLES[:1]),
    "inner": (ops.inner, [normal(2, 3), normal(2, 3, seed=1)]),
    "cross": (ops.cross, [normal(2, 3), normal(2, 3, seed=1)]),
}


@pytest.mark.parametrize("name", CASES)
def test_operations_on_special_numbers(name: str) -> None:
    function, values = CASES[name]
    inputs = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in values]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], function(*inputs))
    (expected,) = keras_answers(model, values)
    (found,) = onnx_answers(kexport.convert(model), values)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16", "uint32", "int64"])
def test_quotients_of_whole_numbers_are_rounded_down(dtype: str) -> None:
    values = [x.astype(dtype) if dtype[0] == "i" else np.abs(x).astype(dtype) for x in (WHOLE, BY)]
    x, y = (keras.Input((8,), dtype=dtype) for _ in values)
    model = keras.Model([x, y], ops.floor_divide(x, y))
    (found,) = onnx_answers(kexport.convert(model), values)
    np.testing.assert_array_equal(found, values[0] // values[1])
    assert found.dtype == dtype


@pytest.mark.parametrize("name", ["segment_max", "segment_min", "segment_sum", "segment_prod"])
def test_segments_without_rows_and_rows_without_a_segment(name: str) -> None:
    x, place = keras.Input((3,)), keras.Input((), dtype="int32")
    model = keras.Model([x, place], getattr(ops, name)(x, place, 4))
    assert_converts(model, normal(5, 3), np.int32([0, 2, -1, 2, 0]))


def test_causal_attention_of_any_length() -> None:
    x = keras.Input((None, 4))
    y = layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    assert_converts(randomise(keras.Model(x, y)), normal(2, 5, 4))


def test_other_powers_of_whole_numbers_are_refused() -> None:
    x = keras.Input((4,), dtype="int32")
    with pytest.raises(UnsupportedModel, match=r"keras.ops.power.*no small constant"):
        convert_model(keras.Model(x, ops.power(x, x)))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [-1, 1, None])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool"])
def test_the_first_of_equal_elements(name: str, axis: int | None, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (2, 4, 5)).astype(dtype)
    x = keras.Input((4, 5), dtype=dtype)
    model = keras.Model(x, getattr(ops, name)(x, axis=axis))
    assert assert_converts(model, values).traced == ()


def test_a_mask_of_classes() -> None:
    x = keras.Input((None, None, 3))
    y = ops.argmax(layers.Conv2D(5, 3, padding="same")(x), axis=-1)
    model = randomise(keras.Model(x, ops.cast(y, "uint8")))
    converted = assert_converts(model, normal(2, 6, 7, 3))
    kinds = [node.op_type for node in converted.model.graph]
    assert kinds.count("ArgMax") == 1
    assert "Where" not in kinds


def test_a_mask_of_classes_in_a_subclassed_model() -> None:
    class Segmenter(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Conv2D(5, 3)

        def call(self, x: Any) -> Any:
            return ops.argmax(self.inner(x), axis=-1)

    model = Segmenter()
    model(normal(1, 6, 6, 3))
    assert_converts(randomise(model), normal(2, 6, 6, 3))


NUMBERS = np.array([[3, 5, 7, 0, -1, 9], [7, 7, 2, 8, 3, 4]])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_oov_indices": 2},
        {"mask_token": 0, "num_oov_indices": 3},
        {"output_mode": "multi_hot"},
        {"output_mode": "one_hot"},
        {"output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True},
        {"output_mode": "multi_hot", "mask_token": 0},
        {"output_mode": "multi_hot", "mask_token": 0, "num_oov_indices": 2},
        {"output_mode": "tf_idf", "idf_weights": [0.1, 0.2, 0.4], "mask_token": 0},
        {"invert": True},
        {"invert": True, "mask_token": 0, "num_oov_indices": 2},
    ],
    ids=str,
)
def test_integer_lookup(arguments: dict[str, Any]) -> None:
    layer = layers.IntegerLookup(vocabulary=[3, 5, 7], **arguments)
    assert_converts(model_of(layer, (6,), dtype="int64"), NUMBERS)


def test_integer_lookup_without_a_place_for_others() -> None:
    layer = layers.IntegerLookup(vocabulary=[3, 5, 7], num_oov_indices=0)
    assert_converts(model_of(layer, (3,), dtype="int64"), np.array([[3, 5, 7], [7, 3, 3]]))


def test_an_integer_lookup_that_is_refused() -> None:
    layer = layers.IntegerLookup(vocabulary=[3, 5, 7], num_oov_indices=2, oov_method="farmhash")
    with pytest.raises(UnsupportedModel, match="oov_method='farmhash'"):
        convert_model(model_of(layer, (3,), dtype="int64"))


@pytest.mark.parametrize("mode", ["int", "one_hot", "count"])
def test_discretization(mode: str) -> None:
    values = np.float32([[-0.5, 0, 0.5, -3, 9, nan], [0.1, 0.2, -0.2, inf, -inf, -0.0]])
    layer = layers.Discretization([-0.5, 0, 0.5], output_mode=mode)
    assert_converts(model_of(layer, (6,)), values)
