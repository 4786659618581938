"""Transposed convolutions of rank 1 to 3, on every argument that Keras documents."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, keras_answers, model_of, normal, operators, randomise

CONV = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}


@st.composite
def windows(draw: st.DrawFn, rank: int) -> dict[str, Any]:
    """What Keras takes: an output_padding under the stride, and one for which TensorFlow agrees."""
    sizes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, strides = draw(st.tuples(*[st.integers(1, 4)] * rank)), draw(sizes)
    padding = draw(st.sampled_from(["valid", "same"]))
    extra = None
    even = any(k % 2 == 0 and s == 1 for k, s in zip(kernel, strides, strict=True))
    if draw(st.booleans()) and not (padding == "same" and even):
        extra = tuple(
            draw(st.integers(_least_extra(padding, *axis), max(axis[1] - 1, 0)))
            for axis in zip(kernel, strides, strict=True)
        )
    return {"kernel_size": kernel, "strides": strides, "padding": padding, "output_padding": extra}


def _least_extra(padding: str, size: int, stride: int) -> int:
    """TensorFlow refuses a result from which the convolution would not come back to the input."""
    if padding == "same":
        return 1 - size % 2 if stride > 1 else 0
    return 0


def check(layer: Any, picture: tuple[int, ...]) -> None:
    """Channels first against the same layer with channels last, which the CPU runs."""
    x = normal(2, *picture, 3)
    if layer.data_format == "channels_last":
        assert_converts(model_of(layer, (*picture, 3)), x)
        return
    model = model_of(layer, (3, *picture))
    twin = type(layer).from_config({**layer.get_config(), "data_format": "channels_last"})
    plain = model_of(twin, (*picture, 3))
    plain.set_weights(model.get_weights())
    (expected,) = keras_answers(plain, [x])
    assert_converts(model, np.moveaxis(x, -1, 1), expected=[np.moveaxis(expected, -1, 1)])


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_transposed_conv(rank: int, data: st.DataObject) -> None:
    layer = CONV[rank](
        filters=data.draw(st.integers(1, 3), "filters"),
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(st.sampled_from([None, "relu", "gelu"]), "activation"),
        data_format=data.draw(st.sampled_from(["channels_last", "channels_first"]), "data_format"),
        **data.draw(windows(rank), "window"),
    )
    check(layer, data.draw(st.tuples(*[st.integers(3, 5)] * rank), "extents"))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_dilated_window_is_a_larger_one_with_gaps(rank: int, padding: str) -> None:
    """TensorFlow dilates on some devices only, so the gaps are written out as zeros."""
    shape = (5, 4, 6)[:rank]
    model = model_of(CONV[rank](2, 3, dilation_rate=2, padding=padding), (*shape, 3))
    kernel, bias = model.get_weights()
    gaps = np.zeros((*[5] * rank, 2, 3), np.float32)
    gaps[(slice(None, None, 2),) * rank] = kernel
    plain = model_of(CONV[rank](2, 5, padding=padding), (*shape, 3))
    plain.set_weights([gaps, bias])
    x = normal(2, *shape, 3)
    assert_converts(model, x, expected=keras_answers(plain, [x]))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_an_image_whose_size_only_run_time_knows(padding: str) -> None:
    layer = layers.Conv2DTranspose(2, 3, strides=2, padding=padding)
    assert_converts(model_of(layer, (None, None, 3)), normal(2, 5, 4, 3))


def test_the_odd_element_of_same_goes_at_the_end() -> None:
    layer = layers.Conv1DTranspose(1, 3, strides=2, padding="same", use_bias=False)
    model = model_of(layer, (2, 1))
    model.set_weights([np.array([1, 2, 4], np.float32).reshape(3, 1, 1)])
    x = np.array([1, 10], np.float32).reshape(1, 2, 1)
    expected = np.array([1, 2, 14, 20], np.float32).reshape(1, 4, 1)
    assert_converts(model, x, expected=[expected])


def test_an_autoencoder_transposes_only_at_its_ends() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(y)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    model = randomise(keras.Model(x, layers.UpSampling2D()(y)))
    converted = assert_converts(model, normal(2, 8, 8, 3))
    assert operators(converted.model)["Transpose"] == 2
