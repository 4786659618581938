"""projection_to_matmul: quantized 1 x 1 convolutions whose result an Add reads in float."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.graph import save
from kexport.passes.projection_to_matmul import projection_to_matmul

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 5, 7)).astype(np.uint8)


def read(s: Sketch, value: ir.Value, name: str, scale: Any, zero: Any, axis: int = 1) -> ir.Value:
    scales = s.constant(f"{name}.scale", scale)
    zeros = [] if zero is None else [s.constant(*zero)]
    return s.op("DequantizeLinear", value, scales, *zeros, axis=axis)


def projected(s: Sketch, shape: tuple[int, ...] = (4, 8, 1, 1), **how: Any) -> ir.Value:
    """Build a Conv of uint8 with int8 weights and an int32 bias, all with their own scales."""
    x = s.input("x", list(PIXELS.shape), ir.DataType.UINT8)
    given = read(s, x, "x", 0.02, ("x.zero", 100, np.uint8))
    rng = np.random.default_rng(1)
    integers = s.constant("w", rng.integers(-127, 128, shape), np.int8)
    scales, zeros = rng.uniform(0.001, 0.1, shape[0]), ("w.zero", np.zeros(shape[0]), np.int8)
    weights = read(s, integers, "w", scales, zeros, axis=0)
    bias = s.constant("b", rng.integers(-9000, 9000, shape[0]), np.int32)
    added = read(s, bias, "b", rng.uniform(0.001, 0.01, shape[0]), None, axis=0)
    return s.op("Conv", given, weights, added, **how)


def stream(s: Sketch, result: ir.Value) -> ir.Model:
    shape = [int(size) for size in result.shape or ()]
    return s.model(s.op("Add", result, s.constant("stream", normal(*shape))))


def fused(model: ir.Model, folder: Path) -> Counter[str]:
    """Return the operators that ONNX Runtime runs."""
    save.save(model, folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(folder / "model.onnx", options)
    return operators(ir.load(folder / "optimised.onnx"))


def test_a_projection_into_a_sum_becomes_an_integer_product_with_a_float_result(
    tmp_path: Path,
) -> None:
    s = Sketch()
    model = stream(s, projected(s))
    changed = assert_pure_and_equal(projection_to_matmul, model, {"x": PIXELS})
    assert operators(changed)["MatMul"] == 1
    assert operators(changed)["Conv"] == 0
    runs = fused(changed, tmp_path)
    assert runs["MatMulIntegerToFloat"] == 1
    assert runs["MatMul"] == runs["DequantizeLinear"] == 0


def test_the_product_keeps_the_name_of_the_convolution() -> None:
    s = Sketch()
    changed = projection_to_matmul(stream(s, projected(s)))
    assert [node.name for node in changed.graph if node.op_type == "MatMul"] == ["Conv_0"]


def test_a_projection_without_bias_is_rewritten() -> None:
    s = Sketch()
    result = projected(s)
    conv = result.producer()
    assert conv is not None
    conv.resize_inputs(2)
    changed = assert_pure_and_equal(projection_to_matmul, stream(s, result), {"x": PIXELS})
    assert operators(changed)["Conv"] == 0


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((4, 8, 3, 3), {}),
        ((4, 8, 1, 1), {"strides": [2, 2]}),
        ((4, 8, 1, 1), {"pads": [1, 1, 1, 1]}),
        ((4, 4, 1, 1), {"group": 2}),
    ],
)
def test_other_convolutions_stay(shape: tuple[int, ...], how: dict[str, Any]) -> None:
    s = Sketch()
    model = stream(s, projected(s, shape, **how))
    changed = assert_pure_and_equal(projection_to_matmul, model, {"x": PIXELS})
    assert operators(changed) == operators(model)


def test_a_convolution_with_an_integer_result_stays() -> None:
    s = Sketch()
    result = s.op(
        "QuantizeLinear", projected(s), s.constant("s", 0.5), s.constant("z", 3, np.uint8)
    )
    model = s.model(result)
    changed = assert_pure_and_equal(projection_to_matmul, model, {"x": PIXELS})
    assert operators(changed)["Conv"] == 1


def test_a_convolution_of_floats_stays() -> None:
    s = Sketch()
    x = s.input("x", [1, 8, 5, 7])
    model = stream(s, s.op("Conv", x, s.constant("w", normal(4, 8, 1, 1))))
    changed = assert_pure_and_equal(projection_to_matmul, model, {"x": normal(1, 8, 5, 7)})
    assert operators(changed)["Conv"] == 1
