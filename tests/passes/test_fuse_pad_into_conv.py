"""fuse_pad_into_conv: zero padding moves into the node after it."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.fuse_pad_into_conv import fuse_pad_into_conv


def padded(s: Sketch, x: ir.Value, margins: list[int], fill: float = 0.0) -> ir.Value:
    """`margins` as ONNX writes them for two axes: top, left, bottom, right."""
    top, left, bottom, right = margins
    pads = s.constant("pads", [0, 0, top, left, 0, 0, bottom, right], np.int64)
    return s.op("Pad", x, pads, s.constant("fill", fill))


@given(
    margins=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    own=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    stride=st.integers(1, 3),
)
def test_a_pad_is_fused_into_a_conv(margins: list[int], own: list[int], stride: int) -> None:
    s = Sketch()
    y = padded(s, s.input("x", [2, 3, 6, 7]), margins)
    y = s.op("Conv", y, s.constant("w", normal(4, 3, 3, 2)), pads=own, strides=[stride, stride])
    changed = assert_pure_and_equal(fuse_pad_into_conv, s.model(y), {"x": normal(2, 3, 6, 7)})
    assert operators(changed) == {"Conv": 1}


@given(
    margins=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    window=st.integers(2, 3),
    stride=st.integers(1, 3),
    positive=st.booleans(),
)
def test_a_pad_is_fused_into_a_max_pool(
    margins: list[int], window: int, stride: int, positive: bool
) -> None:
    """All values are negative or all positive, so that a margin of minus infinity would show."""
    s = Sketch()
    x = s.input("x", [2, 3, 6, 7])
    y = padded(s, s.op("Relu", x) if positive else x, margins)
    y = s.op("MaxPool", y, kernel_shape=[window, window], strides=[stride, stride])
    given_values = -np.abs(normal(2, 3, 6, 7)) - 1
    assert_pure_and_equal(fuse_pad_into_conv, s.model(y), {"x": given_values})


def test_a_pad_after_relu_is_fused_into_a_max_pool_without_max() -> None:
    s = Sketch()
    y = padded(s, s.op("Relu", s.input("x", [2, 3, 6, 7])), [1, 1, 1, 1])
    model = s.model(s.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2]))
    changed = assert_pure_and_equal(fuse_pad_into_conv, model, {"x": normal(2, 3, 6, 7)})
    assert operators(changed) == {"Relu": 1, "MaxPool": 1}


def test_a_max_pool_of_negative_values_sees_zeros_at_the_border() -> None:
    s = Sketch()
    y = padded(s, s.input("x", [1, 1, 4, 4]), [1, 1, 1, 1])
    model = s.model(s.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2]))
    low = np.full((1, 1, 4, 4), -5, np.float32)
    changed = assert_pure_and_equal(fuse_pad_into_conv, model, {"x": low})
    assert "Pad" not in operators(changed)


@pytest.mark.parametrize("fill", [1.0, -1.0])
def test_a_pad_with_another_value_stays(fill: float) -> None:
    s = Sketch()
    y = padded(s, s.input("x", [2, 3, 6, 7]), [1, 1, 1, 1], fill)
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 3, 3, 3))))
    changed = assert_pure_and_equal(fuse_pad_into_conv, model, {"x": normal(2, 3, 6, 7)})
    assert operators(changed) == {"Pad": 1, "Conv": 1}


def test_a_pad_with_other_readers_stays() -> None:
    s = Sketch()
    y = padded(s, s.input("x", [2, 3, 6, 7]), [1, 1, 1, 1])
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 3, 3, 3))), y)
    assert (
        operators(assert_pure_and_equal(fuse_pad_into_conv, model, {"x": normal(2, 3, 6, 7)}))[
            "Pad"
        ]
        == 1
    )


def test_a_pad_before_an_average_pool_stays() -> None:
    s = Sketch()
    y = padded(s, s.input("x", [2, 3, 6, 7]), [1, 1, 1, 1])
    model = s.model(s.op("AveragePool", y, kernel_shape=[3, 3]))
    changed = assert_pure_and_equal(fuse_pad_into_conv, model, {"x": normal(2, 3, 6, 7)})
    assert operators(changed)["Pad"] == 1


def test_a_pad_of_channels_stays() -> None:
    s = Sketch()
    pads = s.constant("pads", [0, 1, 0, 0, 0, 0, 0, 0], np.int64)
    y = s.op("Pad", s.input("x", [2, 3, 6, 7]), pads)
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 4, 3, 3))))
    changed = assert_pure_and_equal(fuse_pad_into_conv, model, {"x": normal(2, 3, 6, 7)})
    assert operators(changed)["Pad"] == 1
