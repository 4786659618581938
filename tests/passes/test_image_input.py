"""image_input: preprocessing in the graph equals Keras' own on every pixel value."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import simplify
from support import (
    Sketch,
    assert_near,
    keras_answers,
    normal,
    onnx_answers,
    operators,
    randomise,
    snapshot,
)

from kexport.conversion import convert_model
from kexport.graph.roles import Role, role_of, set_role
from kexport.options.input_image import InputImage
from kexport.options.preprocessing import Custom, Preprocessing
from kexport.passes import pipeline
from kexport.passes.image_input import RECIPES, image_input, is_folded
from kexport.passes.merge_reshapes import merge_reshapes
from kexport.source.preprocessing import prepare

BGR = Custom(scale=(0.5,), mean=(1.0, 20.0, 3.0), std=(2.0, 3.0, 0.25), bgr=True)
MODES = [*sorted(RECIPES), Custom(scale=(0.01, 0.02, 0.03), mean=(0.5,)), BGR]

VALUES = np.arange(256, dtype=np.uint8)
RAMPS = np.zeros((1, 3, 256, 3), np.uint8)
"""Every value 0..255 in each channel, with constant values in the two others."""
for channel in range(3):
    RAMPS[0, channel] = (17, 130, 244)
    RAMPS[0, channel, :, channel] = VALUES


def model_with(first: Any, channels: int = 3) -> keras.Model:
    x = keras.Input((3, 256, channels))
    return randomise(keras.Model(x, first(x)))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_pixel_value_is_preprocessed_as_in_keras(mode: Preprocessing) -> None:
    """The first layer is the identity, so that the output is the preprocessed image."""
    model = model_with(layers.ReLU(negative_slope=1.0))
    changed = image_input(InputImage(mode))(convert_model(model).model)
    assert_near(onnx_answers(changed, [RAMPS]), [prepare(RAMPS, mode)], 1e-6)


FIRST: dict[str, Any] = {
    "valid": lambda: layers.Conv2D(4, 3),
    "without bias": lambda: layers.Conv2D(4, 3, use_bias=False),
    "same": lambda: layers.Conv2D(4, 3, padding="same"),
    "same, strides": lambda: layers.Conv2D(4, 3, strides=2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3),
    "window of one": lambda: layers.Conv2D(4, 1),
}


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("first", FIRST)
def test_preprocessing_before_a_conv_equals_keras(mode: Preprocessing, first: str) -> None:
    model = model_with(FIRST[first]())
    wanted = keras_answers(model, [prepare(RAMPS, mode)])
    converted = convert_model(model).model
    before = snapshot(converted)
    plain = image_input(InputImage(mode))(converted)
    assert snapshot(converted) == before
    assert_near(onnx_answers(plain, [RAMPS]), wanted)
    folded = pipeline.run(converted, simplify(mode, 1)).model
    assert_near(onnx_answers(folded, [RAMPS], optimise=True), wanted, 2e-5)
    left = operators(folded)
    assert left["Mul"] == 0
    assert left["Gather"] == (1 if mode in ("caffe", BGR) and first == "depthwise" else 0)
    if "same" not in first:
        assert left["Add"] == 0 or first == "depthwise"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_preprocessing_before_explicit_zero_padding_equals_keras(mode: Preprocessing) -> None:
    """In ResNet's first layers the margin is zero after preprocessing, not before."""
    x = keras.Input((3, 256, 3))
    model = randomise(keras.Model(x, layers.Conv2D(4, 3)(layers.ZeroPadding2D(2)(x))))
    folded = pipeline.run(convert_model(model).model, simplify(mode, 1)).model
    wanted = keras_answers(model, [prepare(RAMPS, mode)])
    assert_near(onnx_answers(folded, [RAMPS], optimise=True), wanted, 2e-5)
    assert operators(folded)["Pad"] == 0


def test_the_input_is_an_image() -> None:
    model = model_with(layers.Conv2D(4, 3))
    (image,) = pipeline.run(convert_model(model).model, simplify("tf", 1)).model.graph.inputs
    assert (image.name, image.dtype) == ("image", ir.DataType.UINT8)
    assert list(image.shape or ()) == [1, 3, 256, 3]


def test_grey_images_equal_keras() -> None:
    model = model_with(layers.Conv2D(4, 3), channels=1)
    grey = RAMPS[..., :1]
    folded = pipeline.run(convert_model(model).model, simplify("tf", 1)).model
    assert_near(onnx_answers(folded, [grey]), keras_answers(model, [prepare(grey, "tf")]), 2e-5)
    assert operators(folded) == {"Transpose": 2, "Cast": 1, "Conv": 1}


def test_preprocessing_layers_of_the_model_are_fused() -> None:
    x = keras.Input((3, 256, 3))
    y = layers.Rescaling(1 / 127.5, offset=-1)(x)
    y = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1.0, 2.0])(y)
    model = randomise(keras.Model(x, layers.Conv2D(4, 3)(y)))
    folded = pipeline.run(convert_model(model).model, simplify("none", 1)).model
    assert_near(onnx_answers(folded, [RAMPS]), keras_answers(model, [prepare(RAMPS, "none")]), 2e-5)
    assert operators(folded) == {"Transpose": 2, "Cast": 1, "Conv": 1}


def test_an_image_read_by_several_layers_equals_keras() -> None:
    x = keras.Input((3, 256, 3))
    y = layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(2, 3, padding="same")(x), x])
    model = randomise(keras.Model(x, y))
    folded = pipeline.run(convert_model(model).model, simplify("caffe", 1)).model
    assert_near(
        onnx_answers(folded, [RAMPS]), keras_answers(model, [prepare(RAMPS, "caffe")]), 2e-5
    )


@pytest.mark.parametrize(("role", "folded"), [(Role.PIXELS, True), (None, False)])
def test_roles_and_not_names_decide_what_is_folded(role: Role | None, folded: bool) -> None:
    """The Mul is a step of the image input by its role; its name is that of any node."""
    s = Sketch()
    image = s.input("image", [1, 3, 8, 8])
    scaled = s.op("Mul", s.op("Cast", image, to=1), s.constant("by", 2.0))
    zero, one = s.constant("zero", 0, np.uint8), s.constant("one", 1.0)
    read = s.op("DequantizeLinear", s.op("QuantizeLinear", scaled, one, zero), one, zero)
    model = s.model(s.op("Conv", read, s.constant("w", normal(4, 3, 1, 1))))
    (mul,) = [node for node in model.graph if node.op_type == "Mul"]
    set_role(mul, role)
    assert is_folded(model.clone().graph.inputs[0]) is folded


def test_merged_reshapes_keep_the_role_of_the_last() -> None:
    s = Sketch()
    y = s.op("Reshape", s.input("x", [2, 12]), s.constant("a", [2, 3, 4], np.int64))
    model = s.model(s.op("Reshape", y, s.constant("b", [2, 6, 2], np.int64)))
    set_role(list(model.graph)[1], Role.PIXELS)
    (merged,) = merge_reshapes(model).graph
    assert (merged.name, role_of(merged)) == ("Reshape_1.merged", Role.PIXELS)
