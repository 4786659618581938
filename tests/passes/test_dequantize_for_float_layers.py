"""dequantize_for_float_layers: float layers among integers stay float in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from support import Sketch, assert_pure_and_equal, normal, onnx_answers, operators

from kexport.graph import save
from kexport.passes.dequantize_for_float_layers import dequantize_for_float_layers

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 6)).astype(np.uint8)


def between(zero: int) -> ir.Model:
    """Build a Conv with float weights of very different channels between two QDQ pairs."""
    s = Sketch()
    x = s.input("x", list(PIXELS.shape), ir.DataType.UINT8)
    first = s.constant("s", np.float32(0.02)), s.constant("z", zero, np.uint8)
    weights = normal(4, 8, 1, 1) * np.logspace(-3, 0, 4).reshape(-1, 1, 1, 1)
    conv = s.op("Conv", s.op("DequantizeLinear", x, *first), s.constant("w", weights))
    second = s.constant("s2", np.float32(0.001)), s.constant("z2", 128, np.uint8)
    return s.model(s.op("DequantizeLinear", s.op("QuantizeLinear", conv, *second), *second))


@pytest.mark.parametrize(("zero", "subtractions"), [(0, 0), (100, 1)])
def test_the_input_is_dequantized_by_arithmetic(zero: int, subtractions: int) -> None:
    model = between(zero)
    unfused = onnx_answers(model, [PIXELS], optimise=False)[0]
    changed = dequantize_for_float_layers(model)
    found = operators(changed)
    assert (found["Cast"], found["Sub"], found["Mul"]) == (1, subtractions, 1)
    assert np.array_equal(onnx_answers(changed, [PIXELS], optimise=False)[0], unfused)
    assert np.array_equal(onnx_answers(changed, [PIXELS], optimise=True)[0], unfused)


def test_onnx_runtime_keeps_the_layer_in_float(tmp_path: Path) -> None:
    save.save(dequantize_for_float_layers(between(0)), tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(tmp_path / "model.onnx", options)
    assert operators(ir.load(tmp_path / "optimised.onnx"))["QLinearConv"] == 0


def test_quantized_weights_keep_their_pair() -> None:
    s = Sketch()
    x = s.input("x", list(PIXELS.shape), ir.DataType.UINT8)
    pair = s.constant("s", np.float32(0.02)), s.constant("z", 3, np.uint8)
    integers = s.constant("w", np.ones((4, 8, 1, 1)), np.int8)
    weights = s.op("DequantizeLinear", integers, s.constant("ws", np.float32(0.1)))
    model = s.model(s.op("Conv", s.op("DequantizeLinear", x, *pair), weights))
    changed = assert_pure_and_equal(dequantize_for_float_layers, model, {"x": PIXELS})
    assert operators(changed) == operators(model)
