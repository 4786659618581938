"""Resizing, CenterCrop, keras.ops.image.resize and UpSampling, pixel by pixel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops
from support import (
    assert_converts,
    keras_answers,
    model_of,
    normal,
    onnx_answers,
    operators,
    randomise,
)

from kexport.conversion import convert_model
from kexport.errors import UnsupportedModel

METHODS = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area"]
FORMATS = st.sampled_from(["channels_last", "channels_first"])
EXTENTS = st.tuples(st.integers(2, 12), st.integers(2, 12))


def of_format(picture: tuple[int, int], data_format: str) -> tuple[int, ...]:
    return (*picture, 2) if data_format == "channels_last" else (2, *picture)


@pytest.mark.parametrize("method", METHODS)
@given(source=EXTENTS, target=EXTENTS, antialias=st.booleans(), data_format=FORMATS)
def test_resizing(
    method: str, source: tuple[int, int], target: tuple[int, int], antialias: bool, data_format: str
) -> None:
    layer = layers.Resizing(
        *target, interpolation=method, antialias=antialias, data_format=data_format
    )
    shape = of_format(source, data_format)
    converted = assert_converts(model_of(layer, shape), normal(2, *shape))
    assert converted.traced == ()


@given(
    source=EXTENTS,
    target=EXTENTS,
    keep=st.sampled_from(["crop_to_aspect_ratio", "pad_to_aspect_ratio"]),
    method=st.sampled_from(METHODS),
    fill=st.sampled_from([0.0, 3.0]),
    data_format=FORMATS,
)
def test_resizing_that_keeps_the_aspect_ratio(
    source: tuple[int, int],
    target: tuple[int, int],
    keep: str,
    method: str,
    fill: float,
    data_format: str,
) -> None:
    layer = layers.Resizing(
        *target, interpolation=method, fill_value=fill, data_format=data_format, **{keep: True}
    )
    shape = of_format(source, data_format)
    assert assert_converts(model_of(layer, shape), normal(2, *shape)).traced == ()


@pytest.mark.parametrize(("source", "target"), [(5, 9), (5, 7), (3, 62)])
def test_layers_after_it_see_the_whole_image(source: int, target: int) -> None:
    """The scale 9 / 5, rounded to float32, is less than that, and 5 of it are less than 9."""
    x = keras.Input((source, source, 2))
    y = layers.Flatten()(layers.Resizing(target, target)(x))
    model = randomise(keras.Model(x, layers.Dense(3)(y)))
    assert assert_converts(model, normal(2, source, source, 2)).traced == ()


@pytest.mark.parametrize("source", [50, 130, 224])
@pytest.mark.parametrize("target", [3, 49, 224, 299])
def test_nearest_copies_pixels_exactly(source: int, target: int) -> None:
    x = np.arange(source, dtype=np.float32).reshape(1, 1, source, 1)
    layer = layers.Resizing(1, target, interpolation="nearest")
    for width in (source, None):
        assert_converts(model_of(layer, (1, width, 1)), x, tolerance=0.0)


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@given(source=EXTENTS, target=EXTENTS)
def test_an_image_of_open_size(
    method: str, source: tuple[int, int], target: tuple[int, int]
) -> None:
    model = model_of(layers.Resizing(*target, interpolation=method), (None, None, 2))
    assert assert_converts(model, normal(2, *source, 2)).traced == ()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"interpolation": "bicubic"}, "interpolation='bicubic'"),
        ({"antialias": True}, "antialias=True"),
        ({"crop_to_aspect_ratio": True}, "crop_to_aspect_ratio=True"),
        ({"pad_to_aspect_ratio": True}, "pad_to_aspect_ratio=True"),
    ],
)
def test_arguments_that_need_the_size_are_refused_without_it(arguments: Any, word: str) -> None:
    model = model_of(layers.Resizing(4, 4, name="thumb", **arguments), (None, None, 3))
    with pytest.raises(UnsupportedModel, match=f"'thumb' .*{word}") as caught:
        convert_model(model)
    assert "height and width" in (caught.value.hint or "")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_whole_numbers_stay_whole(method: str, dtype: str) -> None:
    x = keras.Input((5, 7, 3), dtype=dtype)
    model = keras.Model(x, layers.Resizing(9, 4, interpolation=method)(x))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(dtype)
    converted = convert_model(model)
    ((given,), (wanted,)) = onnx_answers(converted.model, [pixels]), keras_answers(model, [pixels])
    assert converted.traced == ()
    assert given.dtype == wanted.dtype
    apart = np.abs(given.astype(int) - wanted.astype(int))
    assert apart.max() <= 1  # a pixel half way between two, to within float32
    assert (apart > 0).mean() < 0.02


@given(source=EXTENTS, target=EXTENTS, data_format=FORMATS)
def test_center_crop(source: tuple[int, int], target: tuple[int, int], data_format: str) -> None:
    shape = of_format(source, data_format)
    model = model_of(layers.CenterCrop(*target, data_format=data_format), shape)
    assert assert_converts(model, normal(2, *shape)).traced == ()


def test_center_crop_of_a_larger_image_is_one_slice() -> None:
    x = keras.Input((9, 8, 3))
    model = randomise(keras.Model(x, layers.CenterCrop(4, 5)(layers.Conv2D(3, 1)(x))))
    assert operators(assert_converts(model, normal(2, 9, 8, 3)).model)["Slice"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_operation(method: str) -> None:
    x = keras.Input((5, 6, 3))
    model = keras.Model(x, ops.image.resize(x, (7, 4), interpolation=method))
    assert assert_converts(model, normal(2, 5, 6, 3)).traced == ()


DATA_FORMATS = st.sampled_from(["channels_last", "channels_first"])
INTERPOLATIONS = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_one_axis(size: int) -> None:
    x = normal(2, 5, 3)
    model = model_of(layers.UpSampling1D(size), (None, 3))
    assert_converts(model, x, expected=[np.repeat(x, size, axis=1)], tolerance=0.0)


@pytest.mark.parametrize("method", INTERPOLATIONS)
@given(size=st.tuples(st.integers(1, 4), st.integers(1, 4)), data_format=DATA_FORMATS)
def test_two_axes(method: str, size: tuple[int, int], data_format: str) -> None:
    layer = layers.UpSampling2D(size, interpolation=method, data_format=data_format)
    assert assert_converts(model_of(layer, (3, 4, 5)), normal(2, 3, 4, 5)).traced == ()


@given(size=st.tuples(*[st.integers(1, 3)] * 3), data_format=DATA_FORMATS)
def test_three_axes(size: tuple[int, int, int], data_format: str) -> None:
    layer = layers.UpSampling3D(size, data_format=data_format)
    model = model_of(layer, (3, 2, 4, 3))
    assert assert_converts(model, normal(2, 3, 2, 4, 3), tolerance=0.0).traced == ()


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_upsampling_of_an_image_of_open_size(method: str) -> None:
    layer = layers.UpSampling2D((2, 3), interpolation=method)
    assert assert_converts(model_of(layer, (None, None, 3)), normal(2, 4, 5, 3)).traced == ()


@pytest.mark.parametrize("method", ["bicubic", "lanczos3"])
def test_wider_interpolation_without_a_size_is_refused(method: str) -> None:
    layer: Any = layers.UpSampling2D(2, interpolation=method, name="wide")
    with pytest.raises(UnsupportedModel, match=f"'wide' .*interpolation='{method}'"):
        convert_model(model_of(layer, (None, None, 3)))
