"""Float16 guard: the nodes that stay float32, and the bundles with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cpp_verifiers import Export
from keras import layers
from support import Sketch, healthy

import kexport
from kexport.calibration.statistics.abs_max import Extent, observe
from kexport.calibration.statistics.float16_guard import Largest, guard, keep_float32
from kexport.graph.roles import Role, set_role
from kexport.options.application import Recipe


def scaled(largest: float) -> tuple[ir.Model, dict[str, np.ndarray]]:
    s = Sketch()
    x = s.input("x", [1, 2])
    y = s.op("Relu", s.op("Mul", x, s.constant("c", 2.0)))
    return s.model(s.op("Tanh", y)), {"x": np.array([[0.0, largest / 2]], np.float32)}


@pytest.mark.parametrize(
    ("largest", "kept"),
    [
        (100.0, set()),
        (16000.0, set()),
        (17000.0, {"Mul_0", "Relu_0", "Tanh_0"}),
        (1e6, {"Mul_0", "Relu_0", "Tanh_0"}),
    ],
)
def test_nodes_with_values_near_65504_stay_float32(largest: float, kept: set[str]) -> None:
    model, feeds = scaled(largest)
    found = keep_float32(model, observe(model, feeds))
    assert {node.node for node in found} == kept
    assert all("of 65504" in node.reason for node in found)


def test_nodes_with_values_that_are_not_finite_stay_float32() -> None:
    model, _ = scaled(1.0)
    extents = {"Mul_0": Extent(float("nan")), "Relu_0": Extent(1.0), "Tanh_0": Extent(1.0)}
    assert {node.node for node in keep_float32(model, extents)} == {"Mul_0", "Relu_0"}


@pytest.mark.parametrize("operator", ["Exp", "Softmax", "Sqrt"])
def test_operators_that_lose_precision_stay_float32(operator: str) -> None:
    s = Sketch()
    y = s.op(operator, s.input("x", [1, 2]))
    (kept,) = keep_float32(s.model(y), {y.name or "": Extent(0.5)})
    assert kept.node == f"{operator}_0"
    assert "loses digits" in kept.reason


def test_a_node_with_a_weight_beyond_the_range_stays_float32() -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", [1, 2]), s.constant("c", [1e-9, 7e4]))
    (kept,) = keep_float32(s.model(y), {y.name or "": Extent(1.0)})
    assert "c reaches 7e+04" in kept.reason


@pytest.mark.parametrize(
    ("epsilon", "kept"), [(1e-12, {"Max", "Div"}), (1e-7, set()), (0.0, set())]
)
def test_an_epsilon_that_float16_rounds_to_zero(epsilon: float, kept: set[str]) -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    least = s.constant("epsilon", np.float32(epsilon))
    model = s.model(s.op("Relu", s.op("Div", x, s.op("Max", x, least))))
    found = keep_float32(model, {})
    assert {next(n.op_type for n in model.graph if n.name == one.node) for one in found} == kept
    assert all(one.reason == "float16 rounds 1e-12 to zero" for one in found)


def test_a_vector_of_zeros_is_normalised_in_float16(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.UnitNormalization()(inputs))
    kexport.export(model, "trt-fp16", output=tmp_path / "bundle", batch=2)
    session = kexport.runtime.load(tmp_path / "bundle", engine="onnxruntime")
    given = np.array([[0, 0, 0, 0], [3, 0, 4, 0]], np.float32)
    (found,) = session.run({"input": given}).values()
    np.testing.assert_allclose(found, [[0, 0, 0, 0], [0.6, 0, 0.8, 0]], atol=1e-3)


def test_the_sum_of_an_average() -> None:
    s = Sketch()
    y = s.op("GlobalAveragePool", s.input("x", [1, 2, 100, 100]))
    assert not keep_float32(s.model(y), {y.name or "": Extent(6.0)})
    (kept,) = keep_float32(s.model(y), {y.name or "": Extent(7.0)})
    assert "the sum of the average reaches 7e+04" in kept.reason


def test_nodes_that_compute_coordinates_stay_whatever_their_name() -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", [2]), s.constant("c", [1.0]))
    model = s.model(y)
    assert not keep_float32(model, {"Mul_0": Extent(1.0)})
    set_role(next(iter(model.graph)), Role.COORDINATES)
    (kept,) = keep_float32(model.clone(), {"Mul_0": Extent(1.0)})
    assert (kept.node, kept.reason) == ("Mul_0", "float16 does not tell one pixel from the next")


def test_the_largest_value_is_that_of_all_tensors() -> None:
    s = Sketch()
    louder = s.op("Mul", s.input("x", [2, 3]), s.constant("by", [-3.0]))
    model = s.model(s.op("Relu", louder))
    feeds = {"x": np.array([[1, 2, 30.12345], [0, 4, 5]], np.float32)}
    assert guard(model, observe(model, feeds)).largest == Largest("Mul_0", 90.37)


class Loud(layers.Layer):
    """Scales its input to a million and back."""

    def call(self, x: Any) -> Any:
        return keras.ops.relu(x * 1e6 + 1e6) / 1e6 - 1.0


def test_a_model_that_leaves_the_range_is_exported_with_those_nodes_in_float32(
    export_and_verify: Export, tmp_path: Path
) -> None:
    x = keras.Input((24, 24, 3))
    y = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    y = Loud(name="loud")(layers.Conv2D(8, 3, activation="tanh")(y))
    y = layers.Dense(6)(layers.GlobalAveragePooling2D()(y))
    model = healthy(keras.Model(x, y, name="own"), "tf")
    bundle = export_and_verify(
        model, "trt-fp16", output=tmp_path / "b", recipe=Recipe(preprocess="tf")
    )
    assert bundle.manifest["parity"]["passed"] is True
    kept = bundle.manifest["float32_nodes"]
    assert any("of 65504" in node["reason"] for node in kept)
    assert 65504 < bundle.manifest["largest_value"]["value"] < 1e8
    graph = onnx.load(bundle.path / "model.onnx").graph
    stems = [node for node in graph.node if node.op_type == "Conv"]
    half = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    assert stems[0].input[1] in half
