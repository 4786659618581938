"""What kexport writes for a toolchain breaks none of its rules."""

from __future__ import annotations

from functools import cache

import keras
import onnx_ir as ir
import pytest
from keras import layers
from support import assert_near, healthy, onnx_answers, operators

from kexport import check, pipeline, targets
from kexport.conversion import convert_model
from kexport.pictures import pictures
from kexport.pixels import Dtype, Pixels

DEVICES = [device for device in targets.devices() if targets.toolchains(device)]
PLACES = {
    (device.name, chain.rules.name): (device.name, chain.jetpack or "", chain.tensorrt)
    for device in DEVICES
    for chain in targets.toolchains(device)
}
"""The oldest of the toolchains of a device that share a row of targets/tensorrt."""


def modern(size: int = 32) -> keras.Model:
    """A block of ConvNeXt's kind: LayerNormalization, gelu, a scale, a residual."""
    x = keras.Input((size, size, 3))
    y = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 4, strides=4)(x))
    z = layers.Dense(16, activation="gelu")(layers.DepthwiseConv2D(7, padding="same")(y))
    y = layers.Add()([y, layers.Dense(8)(z)])
    y = layers.LayerNormalization()(layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, layers.Dense(5, activation="softmax")(y))


def mobile() -> keras.Model:
    return keras.applications.MobileNetV3Small((32, 32, 3), alpha=0.35, weights=None, classes=5)


MODELS = {"modern": (modern, "tf"), "mobile_net_v3": (mobile, "none")}


@cache
def lowered(kind: str, precision: str, tensorrt: str, dtype: Dtype) -> ir.Model:
    """What kexport writes of a model for a row of targets/tensorrt."""
    _, mode = MODELS[kind]
    (rules,) = [row for row in targets.tensorrts() if row.name == tensorrt]
    passes = pipeline.with_image_input(mode, 1, Pixels(dtype=dtype))
    if precision == "fp32":
        passes = (*passes, *pipeline.for_float32(rules.opset, rules))
    else:
        halved = pipeline.for_float16(rules.opset, frozenset(), rules)
        passes = (*passes, *pipeline.BEFORE_FLOAT16, *halved)
    return pipeline.run(converted(kind), passes).model


@cache
def converted(kind: str) -> ir.Model:
    build, mode = MODELS[kind]
    return convert_model(healthy(build(), mode)).model


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("place", PLACES.values(), ids=" ".join)
def test_no_rule_is_broken(place: tuple[str, str, str], kind: str, precision: str) -> None:
    device, jetpack, tensorrt = place
    platform = targets.place(device, jetpack=jetpack or None, tensorrt=tensorrt)
    assert platform.toolchain is not None
    rules = platform.toolchain.rules
    model = lowered(kind, precision, rules.name, "uint8" if rules.uint8_input else "float32")
    findings = check.find(model, platform)
    assert [finding for finding in findings if finding.refuses] == []
    assert {finding.rule for finding in findings} <= {"half-weights"}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("row", targets.tensorrts(), ids=lambda row: row.name)
def test_it_still_computes_the_same(row: targets.TensorRT, kind: str) -> None:
    dtype: Dtype = "uint8" if row.uint8_input else "float32"
    given = pictures(2, 32, 32)[1:].astype(dtype)
    mode = MODELS[kind][1]
    passes = (*pipeline.with_image_input(mode, 1, Pixels(dtype=dtype)), *pipeline.for_float32(20))
    newest = pipeline.run(converted(kind), passes).model
    model = lowered(kind, "fp32", row.name, dtype)
    assert_near(onnx_answers(model, [given]), onnx_answers(newest, [given]))


def test_operators_go_by_the_list_and_not_by_the_opset_alone() -> None:
    assert "LayerNormalization" not in operators(lowered("modern", "fp32", "8.5", "uint8"))
    assert "LayerNormalization" in operators(lowered("modern", "fp32", "8.6", "uint8"))
    assert "HardSwish" in operators(lowered("mobile_net_v3", "fp32", "8.5", "uint8"))
    assert "HardSwish" not in operators(lowered("mobile_net_v3", "fp32", "8.4", "float32"))


def test_without_lowering_the_rules_are_broken() -> None:
    """So that the tests above can fail."""
    passes = (*pipeline.with_image_input("tf", 1), *pipeline.for_float32(20))
    model = pipeline.run(converted("modern"), passes).model
    findings = check.find(model, targets.place("jetson-nano"))
    assert {"opset-cap", "operator", "uint8-input"} <= {finding.rule for finding in findings}
