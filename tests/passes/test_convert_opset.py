"""convert_opset: equal outputs in older opsets."""

from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from keras import layers
from phases import lower
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
from kexport.errors import BadArgument, PassFailed
from kexport.onnx_export import convert
from kexport.passes import pipeline
from kexport.passes.convert_opset import convert_opset
from kexport.targets.opset import HIGHEST, LOWEST

MODERN: dict[str, Any] = {
    "gelu": lambda x: layers.Activation("gelu")(x),
    "hard_silu": lambda x: layers.Activation("hard_silu")(x),
    "mish": lambda x: layers.Activation("mish")(x),
    "layer_norm": lambda x: layers.LayerNormalization()(x),
    "layer_norm without shift": lambda x: layers.LayerNormalization(center=False)(x),
    "layer_norm over height": lambda x: layers.LayerNormalization(axis=1)(x),
    "pooling": lambda x: layers.MaxPooling2D(2)(layers.AveragePooling2D(2, padding="same")(x)),
    "reshape": lambda x: layers.Reshape((-1, 3))(x),
    "padding": lambda x: layers.ZeroPadding2D(1)(x),
    "relu6": lambda x: layers.ReLU(6.0)(x),
}


@pytest.mark.parametrize("opset", range(LOWEST, HIGHEST + 1))
@pytest.mark.parametrize("kind", MODERN)
def test_every_opset_gives_equal_outputs(kind: str, opset: int) -> None:
    x = keras.Input((6, 6, 3))
    model = randomise(keras.Model(x, MODERN[kind](layers.Conv2D(3, 1)(x))))
    proto = convert(model, opset=opset)
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [opset]
    onnx.checker.check_model(proto, full_check=True)
    given = normal(2, 6, 6, 3)
    assert_near(onnx_answers(proto, [given]), keras_answers(model, [given]))


def test_the_input_is_untouched() -> None:
    x = keras.Input((6, 3))
    model = convert_model(keras.Model(x, layers.LayerNormalization()(x))).model
    before = snapshot(model)
    convert_opset(13)(model)
    assert snapshot(model) == before


def test_an_operator_newer_than_the_opset_is_refused() -> None:
    s = Sketch()
    x = s.input("x", [1, 3, 4, 4])
    grid = s.input("grid", [1, 2, 2, 2])
    model = s.model(s.op("GridSample", x, grid))
    with pytest.raises(PassFailed, match=r"GridSample_0 is a GridSample, which opset 15"):
        convert_opset(15)(model)


def test_an_attribute_newer_than_the_opset_is_refused() -> None:
    """Updates of the same element are only added up from opset 16 on."""
    x = keras.Input((4,))
    places = keras.ops.cast(x[:, :1], "int32")
    model = keras.Model(x, keras.ops.scatter(places, x, (5, 4)))
    with pytest.raises(PassFailed, match=r"ScatterND has the attribute reduction, .* opset 13"):
        convert(model, opset=13)


def test_axes_computed_at_run_time_are_refused() -> None:
    s = Sketch()
    axes = s.input("axes", [1], ir.DataType.INT64)
    model = s.model(s.op("ReduceMean", s.input("x", [2, 3]), axes))
    with pytest.raises(PassFailed, match="computes its axes at run time"):
        convert_opset(17)(model)


@pytest.mark.parametrize("opset", [12, 21, 0])
def test_an_unsupported_opset_is_refused(opset: int) -> None:
    x = keras.Input((3,))
    with pytest.raises(BadArgument, match=f"opset {opset} is not written"):
        convert(keras.Model(x, layers.ReLU()(x)), opset=opset)


def test_reduction_axes_become_an_attribute() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    model = s.model(s.op("ReduceMax", x, s.constant("axes", [1], np.int64), keepdims=0))
    lowered = pipeline.run(model, lower(17)).model
    (node,) = lowered.graph
    assert node.attributes["axes"].as_ints() == (1,)
    given = normal(2, 3, 4)
    assert_near(onnx_answers(lowered, [given]), [given.max(axis=1)])


def test_a_reduction_of_no_axis_stays_one_or_is_refused() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    whole = s.model(s.op("ReduceMax", x, keepdims=0))
    given = normal(2, 3)
    assert_near(onnx_answers(convert_opset(17)(whole), [given]), [given.max()])
    s = Sketch()
    x = s.input("x", [2, 3])
    unchanged = s.model(s.op("ReduceMax", x, keepdims=0, noop_with_empty_axes=1))
    with pytest.raises(PassFailed, match="reduces no axis"):
        convert_opset(17)(unchanged)


@pytest.mark.parametrize("op_type", ["Gelu", "HardSwish", "LayerNormalization", "Mish"])
def test_operators_that_the_toolchain_lacks_are_rewritten(op_type: str) -> None:
    s = Sketch(17 if op_type == "LayerNormalization" else 20)
    x = s.input("x", [2, 5])
    more = [s.constant("scale", np.ones(5))] if op_type == "LayerNormalization" else []
    model = s.model(s.op(op_type, x, *more))
    opset = 17 if op_type == "LayerNormalization" else 20
    imported = frozenset({"Add", "Mul"})
    assert op_type not in operators(convert_opset(opset, imported)(model))
    assert op_type in operators(convert_opset(opset, imported | {op_type})(model))
    given = normal(2, 5)
    lowered = convert_opset(opset, imported)(model)
    assert_near(onnx_answers(lowered, [given]), onnx_answers(model, [given]))


def test_reciprocal_is_rewritten_for_a_toolchain_without_it() -> None:
    s = Sketch()
    model = s.model(s.op("Reciprocal", s.input("x", [2, 5])))
    lowered = convert_opset(13, frozenset({"Div"}))(model)
    assert operators(lowered) == {"Div": 1}
    given = np.abs(normal(2, 5)) + 1
    assert_near(onnx_answers(lowered, [given]), [1 / given])


@pytest.mark.parametrize(("positive", "negative"), [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_infinities_are_found_without_the_operator(positive: int, negative: int) -> None:
    s = Sketch()
    x = s.input("x", [6])
    model = s.model(s.op("IsInf", x, detect_positive=positive, detect_negative=negative))
    model.graph.outputs[0].dtype = ir.DataType.BOOL
    lowered = convert_opset(13, frozenset({"Equal", "Abs", "Neg"}))(model)
    assert "IsInf" not in operators(lowered)
    given = np.array([np.inf, -np.inf, np.nan, 0, 3e38, -1], np.float32)
    wanted = (np.isposinf(given) & bool(positive)) | (np.isneginf(given) & bool(negative))
    np.testing.assert_array_equal(onnx_answers(lowered, [given])[0], wanted)


def halved(op_type: str, *constants: np.ndarray) -> ir.Model:
    """Return a graph of one operator on four float16 numbers, with constants as further inputs."""
    s = Sketch()
    x = s.input("x", [4], ir.DataType.FLOAT16)
    more = [s.constant(f"c{i}", one, one.dtype) for i, one in enumerate(constants)]
    return s.model(s.op(op_type, x, *more))


MISREAD = frozenset({"Clip.min", "Clip.max", "Pad.constant_value"})
HALF_SIX = (np.asarray(0, np.float16), np.asarray(6, np.float16))


@pytest.mark.parametrize(
    ("model", "after"),
    [
        (halved("Clip", *HALF_SIX), {"Max": 1, "Min": 1}),
        (halved("Clip", *HALF_SIX[:1]), {"Max": 1}),
        (
            halved("Pad", np.asarray([1, 1]), np.asarray(-7, np.float16)),
            {"Identity": 1, "Pad": 1},
        ),
    ],
)
def test_float16_constants_that_a_toolchain_reads_as_float32(
    model: ir.Model, after: dict[str, int]
) -> None:
    imported = frozenset(operators(model))
    assert operators(convert_opset(13, imported)(model)) == operators(model)
    lowered = convert_opset(13, imported, MISREAD)(model)
    assert operators(lowered) == after
    given = np.asarray([-8, 0.5, 7, 2], np.float16)
    np.testing.assert_array_equal(onnx_answers(lowered, [given]), onnx_answers(model, [given]))
