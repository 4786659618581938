"""UpSampling layers of rank 1 to 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import assert_converts, model_of, normal

from kexport.conversion import convert_model
from kexport.errors import UnsupportedModel

FORMATS = st.sampled_from(["channels_last", "channels_first"])
METHODS = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_one_axis(size: int) -> None:
    x = normal(2, 5, 3)
    model = model_of(layers.UpSampling1D(size), (None, 3))
    assert_converts(model, x, expected=[np.repeat(x, size, axis=1)], tolerance=0.0)


@pytest.mark.parametrize("method", METHODS)
@given(size=st.tuples(st.integers(1, 4), st.integers(1, 4)), data_format=FORMATS)
def test_two_axes(method: str, size: tuple[int, int], data_format: str) -> None:
    layer = layers.UpSampling2D(size, interpolation=method, data_format=data_format)
    assert assert_converts(model_of(layer, (3, 4, 5)), normal(2, 3, 4, 5)).traced == ()


@given(size=st.tuples(*[st.integers(1, 3)] * 3), data_format=FORMATS)
def test_three_axes(size: tuple[int, int, int], data_format: str) -> None:
    layer = layers.UpSampling3D(size, data_format=data_format)
    model = model_of(layer, (3, 2, 4, 3))
    assert assert_converts(model, normal(2, 3, 2, 4, 3), tolerance=0.0).traced == ()


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_an_image_whose_size_only_run_time_knows(method: str) -> None:
    layer = layers.UpSampling2D((2, 3), interpolation=method)
    assert assert_converts(model_of(layer, (None, None, 3)), normal(2, 4, 5, 3)).traced == ()


@pytest.mark.parametrize("method", ["bicubic", "lanczos3"])
def test_wider_interpolation_without_a_size_is_refused(method: str) -> None:
    layer: Any = layers.UpSampling2D(2, interpolation=method, name="wide")
    with pytest.raises(UnsupportedModel, match=f"'wide' .*interpolation='{method}'"):
        convert_model(model_of(layer, (None, None, 3)))
