"""fuse_affine_into_conv: scales, shifts and channel order move into the Conv after them."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import Sketch, assert_pure_and_equal, normal, operators, randomise

from kexport.conversion import convert_model
from kexport.passes.fuse_affine_into_conv import fuse_affine_into_conv


@given(
    steps=st.lists(st.sampled_from(["Mul", "Add", "Sub", "Div", "Gather"]), min_size=1, max_size=5),
    padded=st.booleans(),
    bias=st.booleans(),
)
def test_any_chain_of_per_channel_nodes_is_fused(
    steps: list[str], padded: bool, bias: bool
) -> None:
    s = Sketch()
    y = s.input("x", [2, 3, 6, 6])
    for i, step in enumerate(steps):
        if step == "Gather":
            order = np.random.default_rng(i).permutation(3)
            y = s.op("Gather", y, s.constant(f"c{i}", order, np.int64), axis=1)
        else:
            y = s.op(step, y, s.constant(f"c{i}", abs(normal(3, 1, 1, seed=i)) + 0.5))
    b = s.constant("b", normal(4)) if bias else None
    y = s.op(
        "Conv", y, s.constant("w", normal(4, 3, 3, 3)), b, pads=[1, 1, 1, 1] if padded else None
    )
    changed = assert_pure_and_equal(
        fuse_affine_into_conv, s.model(y), {"x": normal(2, 3, 6, 6)}, 1e-4
    )
    left = operators(changed)
    assert left["Conv"] == 1
    assert left["Gather"] == 0
    assert sum(left.values()) <= (2 if padded else 1)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.Conv2D(6, 3, groups=2, strides=2),
        lambda: layers.Conv2D(6, 3, dilation_rate=2),
    ],
)
def test_batch_norm_before_a_conv_is_fused(layer: Any) -> None:
    x = keras.Input((8, 8, 4))
    model = keras.Model(x, layer()(layers.BatchNormalization()(x)))
    converted = convert_model(randomise(model)).model
    name = converted.graph.inputs[0].name or ""
    changed = assert_pure_and_equal(fuse_affine_into_conv, converted, {name: normal(2, 8, 8, 4)})
    assert "BatchNormalization" not in operators(changed)


def test_a_shift_before_padding_stays_as_one_add() -> None:
    s = Sketch()
    y = s.op("Add", s.input("x", [1, 3, 5, 5]), s.constant("c", [[[1.0]], [[2.0]], [[3.0]]]))
    y = s.op("Conv", y, s.constant("w", np.ones((1, 3, 3, 3))), pads=[1, 1, 1, 1])
    zeros = np.zeros((1, 3, 5, 5), np.float32)
    changed = assert_pure_and_equal(fuse_affine_into_conv, s.model(y), {"x": zeros})
    assert operators(changed) == {"Add": 1, "Conv": 1}


def test_channel_order_before_a_grouped_conv_stays() -> None:
    s = Sketch()
    y = s.op("Gather", s.input("x", [2, 4, 5, 5]), s.constant("o", [3, 1, 2, 0], np.int64), axis=1)
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 2, 3, 3)), group=2))
    changed = assert_pure_and_equal(fuse_affine_into_conv, model, {"x": normal(2, 4, 5, 5)})
    assert operators(changed) == {"Gather": 1, "Conv": 1}


def test_a_gather_that_drops_or_repeats_channels_stays() -> None:
    s = Sketch()
    y = s.op("Gather", s.input("x", [2, 3, 5, 5]), s.constant("o", [0, 0, 2], np.int64), axis=1)
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 3, 3, 3))))
    changed = assert_pure_and_equal(fuse_affine_into_conv, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed) == {"Gather": 1, "Conv": 1}


def test_a_node_with_other_readers_stays() -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", [2, 3, 5, 5]), s.constant("c", 2.0))
    model = s.model(s.op("Conv", y, s.constant("w", normal(4, 3, 3, 3))), s.op("Relu", y))
    changed = assert_pure_and_equal(fuse_affine_into_conv, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed)["Mul"] == 1


def test_a_scale_of_zero_stays() -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", [2, 3, 5, 5]), s.constant("c", [[[0.0]], [[1.0]], [[2.0]]]))
    y = s.op("Add", y, s.constant("d", normal(3, 1, 1)))
    y = s.op("Conv", y, s.constant("w", normal(4, 3, 3, 3)), pads=[1, 1, 1, 1])
    assert_pure_and_equal(fuse_affine_into_conv, s.model(y), {"x": normal(2, 3, 5, 5)})


def test_a_gather_of_fewer_channels_stays() -> None:
    s = Sketch()
    x = s.input("x", [1, 4, 5, 5])
    picked = s.op("Gather", x, s.constant("first", [2, 0, 1], np.int64), axis=1)
    model = s.model(s.op("Conv", picked, s.constant("w", normal(2, 3, 3, 3))))
    changed = assert_pure_and_equal(fuse_affine_into_conv, model, {"x": normal(1, 4, 5, 5)})
    assert operators(changed) == {"Gather": 1, "Conv": 1}
