"""Pooling of rank 1 to 3: over windows, over whole images, and to a number of windows."""

from __future__ import annotations

from operator import ge
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, keras_answers, model_of, normal, operators

LOCAL = {
    "max": (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    "average": (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
}
GLOBAL = {
    "max": (
        layers.GlobalMaxPooling1D,
        layers.GlobalMaxPooling2D,
        layers.GlobalMaxPooling3D,
    ),
    "average": (
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.GlobalAveragePooling3D,
    ),
}
FORMATS = ["channels_last", "channels_first"]


def check(make: Any, image: tuple[int, ...], data_format: str) -> None:
    x = normal(2, *image, 3)
    if data_format == "channels_last":
        assert_converts(model_of(make(data_format=data_format), (*image, 3)), x)
        return
    (last,) = keras_answers(model_of(make(data_format="channels_last"), (*image, 3)), [x])
    expected = np.moveaxis(last, -1, 1) if last.ndim > 2 else last
    model = model_of(make(data_format=data_format), (3, *image))
    assert_converts(model, np.moveaxis(x, -1, 1), expected=[expected])


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_local(kind: str, rank: int, data: st.DataObject) -> None:
    sizes = st.tuples(*[st.integers(1, 3)] * rank)
    arguments = {
        "pool_size": data.draw(sizes, "pool_size"),
        "strides": data.draw(st.none() | sizes, "strides"),
        "padding": data.draw(st.sampled_from(["valid", "same"]), "padding"),
    }
    # TensorFlow's Pool3D without oneDNN crops where a stride is wider than its window
    strides = arguments["strides"] or arguments["pool_size"]
    assume(rank < 3 or all(map(ge, arguments["pool_size"], strides)))
    image = data.draw(st.tuples(*[st.integers(4, 8)] * rank), "extents")
    pool = LOCAL[kind][rank - 1]
    check(lambda **more: pool(**arguments, **more), image, data.draw(st.sampled_from(FORMATS)))


@pytest.mark.parametrize("kind", GLOBAL)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_global(kind: str, rank: int, data_format: str, keepdims: bool) -> None:
    pool = GLOBAL[kind][rank - 1]
    check(lambda **more: pool(keepdims=keepdims, **more), (4, 3, 5)[:rank], data_format)


def test_same_padding_does_not_count_in_an_average() -> None:
    layer = layers.AveragePooling2D(3, strides=1, padding="same")
    ones = np.ones((1, 4, 4, 1), np.float32)
    assert_converts(model_of(layer, (4, 4, 1)), ones, expected=[ones])


@pytest.mark.parametrize("kind", LOCAL)
def test_an_image_of_open_size(kind: str) -> None:
    layer = LOCAL[kind][1](3, strides=2, padding="same")
    assert_converts(model_of(layer, (None, None, 3)), normal(2, 7, 8, 3))


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("window", [1, 2, 3])
def test_strides_beyond_the_window_on_an_open_size(kind: str, window: int) -> None:
    model = model_of(LOCAL[kind][1](window, strides=7, padding="same"), (None, None, 3))
    for extents in ((32, 25), (31, 8), (30, 3), (29, 26), (1, 15)):
        assert_converts(model, normal(2, *extents, 3))


POOLS = {
    "max": (layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D),
    "average": (
        layers.AdaptiveAveragePooling1D,
        layers.AdaptiveAveragePooling2D,
        layers.AdaptiveAveragePooling3D,
    ),
}


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_adaptive_pool(kind: str, rank: int, data: st.DataObject) -> None:
    extents = st.tuples(*[st.integers(1, 7)] * rank)
    image, size = data.draw(extents, "extents"), data.draw(extents, "output_size")
    data_format = data.draw(st.sampled_from(["channels_last", "channels_first"]), "data_format")
    layer = POOLS[kind][rank - 1](size if rank > 1 else size[0], data_format=data_format)
    shape = (*image, 2) if data_format == "channels_last" else (2, *image)
    assert assert_converts(model_of(layer, shape), normal(2, *shape)).traced == ()


def test_windows_match_those_computed_by_hand() -> None:
    x = np.arange(7, dtype=np.float32).reshape(1, 7, 1)
    model = model_of(layers.AdaptiveAveragePooling1D(3), (7, 1))
    assert_converts(model, x, expected=[np.array([1, 3, 5], np.float32).reshape(1, 3, 1)])


def test_windows_that_divide_evenly_are_one_pool() -> None:
    model = model_of(layers.AdaptiveMaxPooling2D((2, 3)), (4, 9, 3))
    found = operators(assert_converts(model, normal(2, 4, 9, 3)).model)
    assert found == {"Transpose": 2, "MaxPool": 1}
