"""Graphs that kexport writes for a toolchain break none of its rules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import keras
import onnx_ir as ir
import pytest
from keras import layers
from phases import PREPARE_FLOAT16, lower, prepare_int8, simplify, to_float16
from support import assert_near, healthy, onnx_answers, operators

from kexport import lint, targets
from kexport.calibration.quantizer.tensorrt import TENSORRT_EXPLICIT, TENSORRT_STRONGLY_TYPED
from kexport.calibration.statistics.ranges import measure_ranges
from kexport.conversion import convert_model
from kexport.graph.passes import Artifact
from kexport.options.image_input import Dtype, ImageInput
from kexport.passes import pipeline
from kexport.passes.pipeline import GraphFormat
from kexport.source.synthetic_images import draw_images
from kexport.stages.optimize import halve

DEVICES = [device for device in targets.devices() if targets.toolchains(device)]
PLACES = {
    (device.name, chain.rules.name): (device.name, chain.jetpack or "", chain.tensorrt)
    for device in DEVICES
    for chain in targets.toolchains(device)
}
"""The oldest of the toolchains of a device that share a row of targets/tensorrt."""


def test_every_jetpack_and_every_tensorrt_is_covered() -> None:
    chains = [chain for device in DEVICES for chain in targets.toolchains(device)]
    packs = {chain.bundle.name for chain in chains if chain.bundle is not None}
    assert packs == {row.name for row in targets.jetpacks()}
    assert {rules for _, rules in PLACES} == {row.name for row in targets.tensorrts()}


def modern(size: int = 32) -> keras.Model:
    """Build a block like ConvNeXt's: LayerNormalization, gelu, a scale, a residual."""
    x = keras.Input((size, size, 3))
    y = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 4, strides=4)(x))
    z = layers.Dense(16, activation="gelu")(layers.DepthwiseConv2D(7, padding="same")(y))
    y = layers.Add()([y, layers.Dense(8)(z)])
    y = layers.LayerNormalization()(layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, layers.Dense(5, activation="softmax")(y))


def mobile() -> keras.Model:
    return keras.applications.MobileNetV3Small((32, 32, 3), alpha=0.35, weights=None, classes=5)


def gated() -> keras.Model:
    """Build a block like EfficientNet's, wide enough for INT8: swish, relu6, a gate, a residual."""
    x = keras.Input((32, 32, 3))
    y = z = layers.Conv2D(16, 3, strides=4, padding="same", activation="swish")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="hard_swish")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(4, 1, activation="relu6")(gate)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(gate)
    y = layers.Add()([z, layers.Conv2D(16, 1)(layers.Multiply()([y, gate]))])
    y = layers.Concatenate()([layers.MaxPooling2D(3, 1, "same")(y), layers.Conv2D(16, 1)(y)])
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 1)(y))
    return keras.Model(x, layers.Dense(5, activation="softmax")(y))


MODELS = {"modern": (modern, "tf"), "mobile_net_v3": (mobile, "none"), "gated": (gated, "caffe")}
CASES = [
    (kind, precision)
    for kind in MODELS
    for precision in ("fp32", "fp16", "int8")
    if (kind, precision) != ("mobile_net_v3", "int8")  # "gated" has what it has, in a second less
]


@cache
def lowered(kind: str, precision: str, tensorrt: str, dtype: Dtype) -> ir.Model:
    """Return the graph that kexport writes for a row of targets/tensorrt."""
    _, mode = MODELS[kind]
    (rules,) = [row for row in targets.tensorrts() if row.name == tensorrt]
    passes = simplify(mode, 1, ImageInput(dtype=dtype))
    if precision == "int8":
        return in_integers(pipeline.run(converted(kind), passes), rules, dtype)
    if precision == "fp32":
        passes = (*passes, *lower(rules.opset, rules))
    else:
        halved = to_float16(rules.opset, frozenset(), rules)
        passes = (*passes, *PREPARE_FLOAT16, *halved)
    return pipeline.run(converted(kind), passes).model


def in_integers(artifact: Artifact, rules: targets.TensorRT, dtype: Dtype) -> ir.Model:
    """Return the graph in INT8, with the ranges of one image."""
    opset, seen = rules.opset_of("int8"), draw_images(2, 32, 32)[1:].astype(dtype)
    scheme = TENSORRT_STRONGLY_TYPED if rules.half_scales else TENSORRT_EXPLICIT
    artifact = pipeline.continue_with(artifact, prepare_int8(opset, rules))
    names = scheme.tensors(artifact.model)
    ranges = measure_ranges(artifact.model, names, seen, batch=1, method="minmax")
    quantized = replace(artifact, model=scheme.quantize(artifact.model, ranges, frozenset()))
    form = GraphFormat(opset, "int8", rules, half_rest=rules.half_scales)
    whole = pipeline.continue_with(quantized, pipeline.passes_for(form, "finish int8"))
    return (halve(whole, form, seen, list[str]().append)[0] if form.half_rest else whole).model


@cache
def converted(kind: str) -> ir.Model:
    build, mode = MODELS[kind]
    return convert_model(healthy(build(), mode)).model


@pytest.mark.parametrize(("kind", "precision"), CASES)
@pytest.mark.parametrize("place", PLACES.values(), ids=" ".join)
def test_no_rule_is_broken(place: tuple[str, str, str], kind: str, precision: str) -> None:
    device, jetpack, tensorrt = place
    platform = targets.place(device, jetpack=jetpack or None, tensorrt=tensorrt)
    assert platform.toolchain is not None
    if precision not in platform.device.precisions:
        assert (device, precision) in {("jetson-nano", "int8"), ("jetson-tx2", "int8")}
        return
    rules = platform.toolchain.rules
    model = lowered(kind, precision, rules.name, "uint8" if rules.uint8_input else "float32")
    assert lint.find(model, platform) == ()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("row", targets.tensorrts(), ids=lambda row: row.name)
def test_outputs_stay_the_same(row: targets.TensorRT, kind: str) -> None:
    dtype: Dtype = "uint8" if row.uint8_input else "float32"
    given = draw_images(2, 32, 32)[1:].astype(dtype)
    mode = MODELS[kind][1]
    passes = (
        *simplify(mode, 1, ImageInput(dtype=dtype)),
        *lower(20),
    )
    newest = pipeline.run(converted(kind), passes).model
    model = lowered(kind, "fp32", row.name, dtype)
    assert_near(onnx_answers(model, [given]), onnx_answers(newest, [given]))


@pytest.mark.parametrize("kind", ["modern", "gated"])
@pytest.mark.parametrize("row", ["8.5", "11.0"])
def test_the_float_part_of_int8_is_float16_if_the_graph_decides_types(row: str, kind: str) -> None:
    model = lowered(kind, "int8", row, "uint8")
    half = row == "11.0"
    assert model.graph.opset_imports[""] == (19 if half else 17)
    wanted = ir.DataType.FLOAT16 if half else ir.DataType.FLOAT
    scales = {node.inputs[1].dtype for node in model.graph if "Linear" in node.op_type}
    assert scales == {wanted}
    products = [node for node in model.graph if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert {value.dtype for node in products for value in node.inputs} == {wanted}


def test_operators_depend_on_the_list_and_not_only_on_the_opset() -> None:
    assert "LayerNormalization" not in operators(lowered("modern", "fp32", "8.5", "uint8"))
    assert "LayerNormalization" in operators(lowered("modern", "fp32", "8.6", "uint8"))
    assert "HardSwish" in operators(lowered("mobile_net_v3", "fp32", "8.5", "uint8"))
    assert "HardSwish" not in operators(lowered("mobile_net_v3", "fp32", "8.4", "float32"))


def test_without_lowering_the_rules_are_broken() -> None:
    """So that the tests above can fail."""
    passes = (*simplify("tf", 1), *lower(20))
    model = pipeline.run(converted("modern"), passes).model
    findings = lint.find(model, targets.place("jetson-nano"))
    assert {"opset-cap", "operator", "uint8-input"} <= {finding.rule for finding in findings}
