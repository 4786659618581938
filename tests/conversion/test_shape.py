"""Layers that only move, crop or pad elements."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal, operators, randomise

PADDING = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
CROPPING = {1: layers.Cropping1D, 2: layers.Cropping2D, 3: layers.Cropping3D}
FORMATS = ["channels_last", "channels_first"]


def after(layer: Any, convolution: bool) -> keras.Model:
    """`layer` on an input [N, 4, 5, 3], or on a convolution of it, which is stored NCHW."""
    x = keras.Input((4, 5, 3))
    return randomise(keras.Model(x, layer(layers.Conv2D(3, 1)(x) if convolution else x)))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 5, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("data_format", FORMATS)
def test_flatten(shape: tuple[int, ...], data_format: str) -> None:
    assert_converts(model_of(layers.Flatten(data_format=data_format), shape), normal(2, *shape))


@pytest.mark.parametrize("data_format", FORMATS)
def test_flatten_after_a_convolution(data_format: str) -> None:
    assert_converts(after(layers.Flatten(data_format=data_format), True), normal(2, 4, 5, 3))


@pytest.mark.parametrize(
    "target", [(60,), (-1,), (5, -1), (3, 4, 5), (-1, 3), (1, 1, 60), (2, 2, 3, 5)]
)
@pytest.mark.parametrize("convolution", [False, True])
def test_reshape(target: tuple[int, ...], convolution: bool) -> None:
    assert_converts(after(layers.Reshape(target), convolution), normal(2, 4, 5, 3))


def test_reshape_of_an_open_axis() -> None:
    assert_converts(model_of(layers.Reshape((-1, 6)), (None, 3)), normal(2, 8, 3))


@pytest.mark.parametrize("dims", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (2, 1, 3), (3, 2, 1)])
@pytest.mark.parametrize("convolution", [False, True])
def test_permute(dims: tuple[int, ...], convolution: bool) -> None:
    assert_converts(after(layers.Permute(dims), convolution), normal(2, 4, 5, 3))


def margins(rank: int, most: int) -> st.SearchStrategy[Any]:
    """One number, or one pair for each axis; with two axes and more also one number for each."""
    pair = st.tuples(st.integers(0, most), st.integers(0, most))
    if rank == 1:
        return st.integers(0, most) | pair
    return (
        st.integers(0, most) | st.tuples(*[st.integers(0, most)] * rank) | st.tuples(*[pair] * rank)
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_zero_padding(rank: int, data: st.DataObject) -> None:
    more = {} if rank == 1 else {"data_format": data.draw(st.sampled_from(FORMATS), "data_format")}
    layer = PADDING[rank](data.draw(margins(rank, 3), "padding"), **more)
    shape = (4, 5, 6, 3)[-rank - 1 :]
    assert_converts(model_of(layer, shape), normal(2, *shape))


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_cropping(rank: int, data: st.DataObject) -> None:
    more = {} if rank == 1 else {"data_format": data.draw(st.sampled_from(FORMATS), "data_format")}
    layer = CROPPING[rank](data.draw(margins(rank, 2), "cropping"), **more)
    shape = (6, 7, 5, 6)[-rank - 1 :]
    assert_converts(model_of(layer, shape), normal(2, *shape))


@pytest.mark.parametrize(
    "layer", [layers.ZeroPadding2D(((0, 1), (2, 3))), layers.Cropping2D(((0, 1), (2, 1)))]
)
def test_margins_after_a_convolution(layer: Any) -> None:
    assert_converts(after(layer, True), normal(2, 4, 5, 3))


def test_padding_of_an_open_axis() -> None:
    layer = layers.ZeroPadding2D(((1, 2), (3, 0)))
    assert_converts(model_of(layer, (None, None, 3)), normal(2, 4, 5, 3))


def test_cropping_nothing_adds_no_node() -> None:
    converted = assert_converts(model_of(layers.Cropping2D(0), (4, 5, 3)), normal(2, 4, 5, 3))
    assert operators(converted.model) == {"Identity": 1}


QUIET = [
    layers.Dropout(0.5),
    layers.SpatialDropout1D(0.5),
    layers.GaussianDropout(0.5),
    layers.GaussianNoise(0.5),
    layers.AlphaDropout(0.5),
    layers.ActivityRegularization(0.1),
    layers.Identity(),
]


@pytest.mark.parametrize("layer", QUIET, ids=lambda layer: type(layer).__name__)
def test_layers_that_do_nothing_at_inference(layer: Any) -> None:
    x = normal(2, 5, 3)
    converted = assert_converts(model_of(layer, (5, 3)), x, expected=[x])
    assert operators(converted.model) == {"Identity": 1}


@pytest.mark.parametrize("dims", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_a_convolution_after_permute_reads_the_right_axis(dims: tuple[int, ...]) -> None:
    x = keras.Input((4, 5, 6))
    model = randomise(keras.Model(x, layers.Conv2D(2, 3)(layers.Permute(dims)(x))))
    converted = assert_converts(model, normal(2, 4, 5, 6))
    assert operators(converted.model)["Transpose"] <= 3
