"""Whole numbers, other floating-point types, quantized layers and LoRA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import Array, assert_converts, keras_answers, model_of, normal, onnx_answers, randomise

import kexport
from kexport.keras_graph import float8


def whole(*shape: int, dtype: str, low: int = 0) -> Array:
    return np.random.default_rng(0).integers(low, 100, shape).astype(dtype)


WHOLE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Rescaling uint8": (layers.Rescaling(1 / 127.5, -1), "uint8"),
    "Rescaling int32": (layers.Rescaling(1 / 255), "int32"),
    "Rescaling by one": (layers.Rescaling(1.0), "uint8"),
    "Normalization uint8": (layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6]), "uint8"),
    "Average int32": (lambda x: layers.Average()([x, x + 1]), "int32"),
    "Average uint8": (lambda x: layers.Average()([x, x]), "uint8"),
    "UpSampling2D int64": (layers.UpSampling2D(2), "int64"),
    "UpSampling2D int16": (layers.UpSampling2D(2), "int16"),
    "UpSampling2D uint8": (layers.UpSampling2D((1, 3)), "uint8"),
    "UpSampling2D int64 bilinear": (layers.UpSampling2D((1, 2), interpolation="bilinear"), "int64"),
    "UpSampling2D uint8 cubic": (layers.UpSampling2D(2, interpolation="bicubic"), "uint8"),
    "UpSampling2D by one": (layers.UpSampling2D(1, interpolation="lanczos3"), "int32"),
    "Dense int32": (layers.Dense(2), "int32"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str) -> None:
    function, dtype = WHOLE[name]
    x = keras.Input((4, 4, 3), dtype=dtype)
    model = randomise(keras.Model(x, function(x)))
    low = 0 if dtype == "uint8" else -100
    values = whole(2, 4, 4, 3, dtype=dtype, low=low)
    converted = assert_converts(model, values)
    (output,) = converted.model.graph.outputs
    (expected,) = keras_answers(model, [values])
    assert output.dtype is not None
    assert output.dtype.numpy() == expected.dtype


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64", "mixed_float16"])
def test_other_types_are_computed_in_float32(policy: str) -> None:
    """Each layer, traced or not, has the weights of its type and computes in float32."""
    x = keras.Input((5, 6), dtype="float32")
    parts = [layers.Dense(8, dtype=policy), layers.Dense(3, activation="tanh", dtype=policy)]
    attention = layers.MultiHeadAttention(2, 4, dtype=policy)
    y = parts[0](x)
    model = randomise(keras.Model(x, parts[1](attention(y, y))))
    twin = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float32"}
        ),
    )
    twin.set_weights(model.get_weights())
    values = normal(2, 5, 6)
    (expected,) = keras_answers(twin, [values])
    (found,) = onnx_answers(kexport.convert(model), [values])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {layer.compute_dtype for layer in (*parts, attention)} == {policy.removeprefix("mixed_")}


def test_a_subclassed_model_in_half_precision() -> None:
    class Half(keras.Model):
        def __init__(self) -> None:
            super().__init__(dtype="mixed_float16")
            self.inner = layers.Dense(3, dtype="mixed_float16")

        def call(self, x: Any) -> Any:
            return ops.tanh(self.inner(x))

    model = Half()
    values = normal(2, 4)
    model(values)
    proto = kexport.convert(model)
    assert proto.graph.input[0].type.tensor_type.elem_type == 1
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(
        onnx_answers(proto, [values])[0], np.tanh(values @ kernel + bias), atol=1e-6
    )


QUANTIZED: dict[str, Callable[[], Any]] = {
    "Dense": lambda: layers.Dense(8, activation="relu"),
    "EinsumDense": lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d"),
}


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_layers_compute_what_keras_computes(name: str, mode: str) -> None:
    model = model_of(QUANTIZED[name](), (5, 6))
    model.layers[-1].quantize(mode)
    assert_converts(model, normal(2, 5, 6))


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_embeddings(mode: str) -> None:
    model = model_of(layers.Embedding(10, 4), (6,), dtype="int32")
    model.layers[-1].quantize(mode)
    assert_converts(model, np.arange(12).reshape(2, 6).astype(np.int32) % 10)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_rounding_to_float8_is_that_of_the_type(name: str) -> None:
    """All powers of two and their neighbours, halves between two numbers, and beyond the range."""
    powers = np.float32(2.0) ** np.arange(-20, 20, dtype=np.float32)
    steps = np.concatenate([powers * np.float32(k / 32) for k in range(64)])
    near = [np.nextafter(steps, np.float32(way)) for way in (-np.inf, np.inf)]
    values = np.concatenate([steps, *near, np.float32([0, 448, 464, 57344, 1e9, np.nan])])
    values = np.concatenate([values, -values])
    wanted = keras.quantizers.quantize_and_dequantize(values, 1.0, name, "float32")
    np.testing.assert_array_equal(float8.rounded(values, 1.0, name, "float32"), wanted)


LORA: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Dense": (lambda: layers.Dense(8), (6,)),
    "Conv1D": (lambda: layers.Conv1D(4, 3), (6, 3)),
    "Conv2D": (lambda: layers.Conv2D(4, 3, groups=1, activation="relu"), (6, 6, 3)),
    "Conv3D": (lambda: layers.Conv3D(8, 2), (4, 3, 3, 2)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 8)), (5, 6)),
}


@pytest.mark.parametrize("name", LORA)
def test_lora_is_merged_into_the_kernel(name: str) -> None:
    make, shape = LORA[name]
    model = model_of(make(), shape)
    model.layers[-1].enable_lora(2, lora_alpha=3)
    converted = assert_converts(randomise(model), normal(2, *shape))
    assert bool(converted.traced) == (name == "EinsumDense")
    merged = not any("lora" in key for key in converted.model.graph.initializers)
    assert merged == (name != "EinsumDense")


def test_lora_that_is_quantized_afterwards() -> None:
    model = model_of(layers.Dense(8), (6,))
    model.layers[-1].enable_lora(2)
    randomise(model)
    model.layers[-1].quantize("int8")
    assert_converts(model, normal(2, 6))
