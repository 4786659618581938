"""fuse_conv_affine: scales and shifts move into the weights before them."""

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support import Sketch, assert_pure_and_equal, normal, operators, randomise

from kexport.conversion import convert_model
from kexport.passes.fuse_conv_affine import fuse_conv_affine

BEFORE: dict[str, Any] = {
    "conv1d": (lambda: layers.Conv1D(4, 3), (9, 3)),
    "conv2d": (lambda: layers.Conv2D(4, 3, padding="same"), (6, 7, 3)),
    "conv3d": (lambda: layers.Conv3D(4, 2), (4, 4, 4, 3)),
    "grouped": (lambda: layers.Conv2D(6, 3, groups=3, use_bias=False), (6, 7, 3)),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 7, 3)),
    "separable": (lambda: layers.SeparableConv2D(4, 3, use_bias=False), (6, 7, 3)),
    "dense": (lambda: layers.Dense(4), (5,)),
    "dense without bias": (lambda: layers.Dense(4, use_bias=False), (5,)),
}


@pytest.mark.parametrize("kind", BEFORE)
@pytest.mark.parametrize(("center", "scale"), [(True, True), (False, True), (True, False)])
def test_batch_norm_after_a_conv_is_fused(kind: str, center: bool, scale: bool) -> None:
    make, shape = BEFORE[kind]
    x = keras.Input(shape)
    y = layers.BatchNormalization(center=center, scale=scale)(make()(x))
    model = convert_model(randomise(keras.Model(x, layers.ReLU()(y)))).model
    name = model.graph.inputs[0].name or ""
    changed = assert_pure_and_equal(fuse_conv_affine, model, {name: normal(2, *shape)})
    assert "BatchNormalization" not in operators(changed)
    if "dense" not in kind:
        assert not {"Mul", "Add"} & set(operators(changed))


@given(steps=st.lists(st.sampled_from(["Mul", "Add", "Sub", "Div"]), min_size=1, max_size=4))
def test_any_chain_of_per_channel_nodes_is_fused(steps: list[str]) -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 5, 5])
    y = s.op("Conv", x, s.constant("w", normal(4, 3, 3, 3)), s.constant("b", normal(4)))
    for i, step in enumerate(steps):
        y = s.op(step, y, s.constant(f"c{i}", abs(normal(4, 1, 1, seed=i)) + 0.5))
    changed = assert_pure_and_equal(fuse_conv_affine, s.model(y), {"x": normal(2, 3, 5, 5)}, 1e-4)
    assert operators(changed) == {"Conv": 1}


def test_a_constant_minus_a_conv_stays() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 5, 5])
    y = s.op("Conv", x, s.constant("w", normal(4, 3, 3, 3)))
    model = s.model(s.op("Sub", s.constant("one", 1.0), y))
    changed = assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed) == {"Conv": 1, "Sub": 1}


def test_a_conv_with_other_readers_keeps_its_weights() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 5, 5])
    y = s.op("Conv", x, s.constant("w", normal(4, 3, 3, 3)))
    model = s.model(s.op("Mul", y, s.constant("two", 2.0)), s.op("Relu", y))
    changed = assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed)["Mul"] == 1


def test_shared_weights_change_for_one_conv_only() -> None:
    s = Sketch()
    x, w = s.input("x", [2, 3, 5, 5]), s.constant("w", normal(4, 3, 3, 3))
    scaled = s.op("Mul", s.op("Conv", x, w), s.constant("c", normal(4, 1, 1)))
    model = s.model(scaled, s.op("Conv", x, w))
    changed = assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed) == {"Conv": 2}


def test_a_scale_along_another_axis_stays() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 5, 5])
    y = s.op("Conv", x, s.constant("w", normal(4, 3, 3, 3)))
    model = s.model(s.op("Mul", y, s.constant("row", normal(3))))
    changed = assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3, 5, 5)})
    assert operators(changed)["Mul"] == 1


def test_an_operand_that_broadcasts_the_result_stays() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 3, 3])
    y = s.op("Conv", x, s.constant("w", normal(1, 3, 3, 3)))
    model = s.model(s.op("Mul", y, s.constant("wide", normal(4, 1, 1))))
    changed = assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3, 3, 3)})
    assert operators(changed)["Mul"] == 1


def test_an_operand_of_higher_rank_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("tall", normal(5, 1, 4))))
    assert_pure_and_equal(fuse_conv_affine, model, {"x": normal(2, 3)})
