"""Convolutions of rank 1 to 3, on every documented argument."""

from __future__ import annotations

from operator import ge
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, keras_answers, model_of, normal, operators, randomise

CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
DEPTHWISE = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}
SEPARABLE = {1: layers.SeparableConv1D, 2: layers.SeparableConv2D}

FORMATS = st.sampled_from(["channels_last", "channels_first"])
ACTIVATIONS = st.sampled_from([None, "relu", "softmax", "gelu"])


@st.composite
def windows(draw: st.DrawFn, rank: int, *, square: bool = False) -> dict[str, Any]:
    """Kernel, strides, dilation and padding; TensorFlow takes strides or dilation, not both."""
    sizes = st.tuples(*[st.integers(1, 3)] * rank)
    one = st.integers(1, 3).map(lambda size: (size,) * rank)
    strides = draw(one if square else sizes)
    dilated = draw(sizes) if max(strides) == 1 else (1,) * rank
    padding = draw(st.sampled_from(["valid", "same"]))
    return {
        "kernel_size": draw(sizes),
        "strides": strides,
        "dilation_rate": dilated,
        "padding": padding,
    }


def extents(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(7, 10)] * rank)


def check(layer: Any, image: tuple[int, ...], channels: int) -> None:
    """Against Keras; channels first against the same layer with channels last."""
    first = layer.data_format == "channels_first"
    model = model_of(layer, (channels, *image) if first else (*image, channels))
    x = normal(2, *image, channels)
    if not first and getattr(layer, "groups", 1) == 1:
        assert_converts(model, x)
        return
    plain = layers_last(layer, x)
    expected = np.asarray(layer.activation(np.moveaxis(plain, -1, 1) if first else plain))
    assert_converts(model, np.moveaxis(x, -1, 1) if first else x, expected=[expected])


def layers_last(layer: Any, x: np.ndarray) -> np.ndarray:
    """Compute the output of `layer` before its activation, channels last, group by group.

    Keras would compile a grouped convolution with XLA, which takes seconds.
    """
    groups = getattr(layer, "groups", 1)
    filters = {"filters": layer.filters // groups} if groups > 1 else {}
    config = {**layer.get_config(), "data_format": "channels_last", "activation": None}
    parts = []
    for group in range(groups):
        part = np.split(x, groups, axis=-1)[group]
        twin = type(layer).from_config({**config, "groups": 1, **filters} if groups > 1 else config)
        twin.build(part.shape)
        twin.set_weights([np.split(w, groups, axis=-1)[group] for w in layer.get_weights()])
        parts.append(np.asarray(twin(part)))
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_conv(rank: int, data: st.DataObject) -> None:
    groups = data.draw(st.sampled_from([1, 1, 1, 2, 3]), "groups")
    window = data.draw(windows(rank), "window")
    # TensorFlow's Conv3D without oneDNN crops where a stride is wider than its window: see below
    assume(rank < 3 or all(map(ge, window["kernel_size"], window["strides"])))
    layer = CONV[rank](
        filters=groups * data.draw(st.integers(1, 3), "filters per group"),
        groups=groups,
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(ACTIVATIONS, "activation"),
        data_format=data.draw(FORMATS, "data_format"),
        **window,
    )
    channels = groups * data.draw(st.integers(1, 2), "channels per group")
    check(layer, data.draw(extents(rank), "extents"), channels)


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    bias=st.booleans(),
)
def test_causal_conv(kernel: int, stride: int, dilation: int, bias: bool) -> None:
    assume(stride == 1 or dilation == 1)
    layer = layers.Conv1D(
        4, kernel, strides=stride, dilation_rate=dilation, padding="causal", use_bias=bias
    )
    check(layer, (9,), 2)


@pytest.mark.parametrize("rank", [1, 2])
@given(data=st.data())
def test_depthwise_conv(rank: int, data: st.DataObject) -> None:
    layer = DEPTHWISE[rank](
        depth_multiplier=data.draw(st.integers(1, 3), "depth_multiplier"),
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(ACTIVATIONS, "activation"),
        data_format=data.draw(FORMATS, "data_format"),
        **data.draw(windows(rank, square=True), "window"),
    )
    check(layer, data.draw(extents(rank), "extents"), data.draw(st.integers(1, 3), "channels"))


@pytest.mark.parametrize("rank", [1, 2])
@given(data=st.data())
def test_separable_conv(rank: int, data: st.DataObject) -> None:
    layer = SEPARABLE[rank](
        filters=data.draw(st.integers(1, 4), "filters"),
        depth_multiplier=data.draw(st.integers(1, 3), "depth_multiplier"),
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(ACTIVATIONS, "activation"),
        data_format=data.draw(FORMATS, "data_format"),
        **data.draw(windows(rank, square=True), "window"),
    )
    check(layer, data.draw(extents(rank), "extents"), data.draw(st.integers(1, 3), "channels"))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_grouped_conv_as_keras_itself_computes_it(rank: int) -> None:
    layer = CONV[rank](6, 2, groups=3, strides=2, padding="same")
    assert_converts(model_of(layer, (*[5] * rank, 6)), normal(2, *[5] * rank, 6))


def test_strided_conv_with_a_window_of_one() -> None:
    """One row of three, one column of two, times a matrix."""
    model = model_of(layers.Conv3D(4, 1, strides=(1, 3, 2), padding="same"), (5, 7, 6, 3))
    kernel, bias = model.get_weights()
    x = normal(2, 5, 7, 6, 3)
    assert_converts(model, x, expected=[x[:, :, ::3, ::2] @ kernel[0, 0, 0] + bias])


@pytest.mark.parametrize("extent", [8, 9])
@pytest.mark.parametrize("kernel", [2, 3])
def test_same_padding_of_an_image_of_open_size(extent: int, kernel: int) -> None:
    layer = layers.Conv2D(2, kernel, strides=2, padding="same")
    model = model_of(layer, (None, None, 3))
    assert_converts(model, normal(2, extent, extent + 1, 3))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.SeparableConv2D])
def test_strides_beyond_the_window_on_an_open_size(kind: Any, kernel: int) -> None:
    """Between windows, 3 to 7 elements are not read; TensorFlow never pads less than nothing."""
    model = model_of(kind(2, kernel, strides=8, padding="same"), (None, None, 3))
    for extents in ((32, 25), (31, 8), (30, 3), (29, 26), (1, 16)):
        assert_converts(model, normal(2, *extents, 3))


def test_strides_beyond_the_window_of_a_depthwise_convolution_in_one_axis() -> None:
    layer = layers.DepthwiseConv1D(3, strides=6, padding="same")
    for extent in range(1, 14):
        assert_converts(model_of(layer, (None, 3)), normal(2, extent, 3))


def test_even_kernel_pads_the_end() -> None:
    layer = layers.Conv2D(1, 2, padding="same", use_bias=False)
    converted = assert_converts(model_of(layer, (4, 4, 1)), normal(1, 4, 4, 1))
    (conv,) = [node for node in converted.model.graph if node.op_type == "Conv"]
    assert conv.attributes["pads"].as_ints() == (0, 0, 1, 1)


def test_a_layer_called_twice_has_one_set_of_weights() -> None:
    x = keras.Input((6, 6, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = randomise(keras.Model(x, shared(shared(x))))
    converted = assert_converts(model, normal(2, 6, 6, 3))
    assert sorted(converted.model.graph.initializers) == ["shared/bias", "shared/kernel"]
    assert operators(converted.model)["Conv"] == 2


def test_a_chain_transposes_only_at_its_ends() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.BatchNormalization()(y)
    y = layers.Add()([layers.MaxPooling2D(2)(y), layers.Conv2D(4, 2, strides=2)(y)])
    converted = assert_converts(randomise(keras.Model(x, y)), normal(2, 8, 8, 3))
    assert operators(converted.model)["Transpose"] == 2


CONV_TRANSPOSE = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}


@st.composite
def transposed_windows(draw: st.DrawFn, rank: int) -> dict[str, Any]:
    """Draw arguments that Keras takes, with an output_padding on which TensorFlow agrees."""
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


def check_transposed(layer: Any, image: tuple[int, ...]) -> None:
    """Channels first against the same layer with channels last, which the CPU runs."""
    x = normal(2, *image, 3)
    if layer.data_format == "channels_last":
        assert_converts(model_of(layer, (*image, 3)), x)
        return
    model = model_of(layer, (3, *image))
    twin = type(layer).from_config({**layer.get_config(), "data_format": "channels_last"})
    plain = model_of(twin, (*image, 3))
    plain.set_weights(model.get_weights())
    (expected,) = keras_answers(plain, [x])
    assert_converts(model, np.moveaxis(x, -1, 1), expected=[np.moveaxis(expected, -1, 1)])


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_transposed_conv(rank: int, data: st.DataObject) -> None:
    layer = CONV_TRANSPOSE[rank](
        filters=data.draw(st.integers(1, 3), "filters"),
        use_bias=data.draw(st.booleans(), "use_bias"),
        activation=data.draw(st.sampled_from([None, "relu", "gelu"]), "activation"),
        data_format=data.draw(st.sampled_from(["channels_last", "channels_first"]), "data_format"),
        **data.draw(transposed_windows(rank), "window"),
    )
    check_transposed(layer, data.draw(st.tuples(*[st.integers(3, 5)] * rank), "extents"))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_dilated_window_is_a_larger_one_with_gaps(rank: int, padding: str) -> None:
    """TensorFlow dilates on some devices only, so the gaps are written out as zeros."""
    shape = (5, 4, 6)[:rank]
    model = model_of(CONV_TRANSPOSE[rank](2, 3, dilation_rate=2, padding=padding), (*shape, 3))
    kernel, bias = model.get_weights()
    gaps = np.zeros((*[5] * rank, 2, 3), np.float32)
    gaps[(slice(None, None, 2),) * rank] = kernel
    plain = model_of(CONV_TRANSPOSE[rank](2, 5, padding=padding), (*shape, 3))
    plain.set_weights([gaps, bias])
    x = normal(2, *shape, 3)
    assert_converts(model, x, expected=keras_answers(plain, [x]))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_an_image_of_open_size(padding: str) -> None:
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
