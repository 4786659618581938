"""Integer forms of Relu, Pad, Max and biases, compared with their float forms."""

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, normal, onnx_answers, operators

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qdq import insert_qdq
from kexport.calibration.quantizer.qparams import asymmetric_qparams
from kexport.calibration.statistics.histogram import Range
from kexport.passes.integer_relu_pad_max import has_integer_form, integer_relu_pad_max
from kexport.passes.quantize_bias import quantize_bias

IMAGE = normal(1, 4, 5, 5, scale=2.0)


def relu_between(high: float) -> ir.Model:
    """Build a Relu between QDQ pairs that cover -3..4 and -3..`high`."""
    s = Sketch(opset=18)
    y = s.op("Relu", s.input("x", [1, 4, 5, 5]))
    model = s.model(s.op("Add", y, s.constant("one", 1.0)))
    edges = frozenset({("Relu_0", 0), ("Add_0", 0)})
    qparams = {
        "x": asymmetric_qparams(Range(-3.0, 4.0)),
        "Relu_0": asymmetric_qparams(Range(-3.0, high)),
    }
    return insert_qdq(Placement(frozenset(), edges), qparams)(model)


def test_a_relu_between_equal_parameters_becomes_a_clip_of_integers() -> None:
    model = relu_between(4.0)
    changed = integer_relu_pad_max(model)
    assert operators(changed) == {
        "QuantizeLinear": 1,
        "Clip": 1,
        "DequantizeLinear": 1,
        "Add": 1,
    }
    assert np.array_equal(onnx_answers(changed, [IMAGE])[0], onnx_answers(model, [IMAGE])[0])


@pytest.mark.parametrize("kind", ["Pad", "Pad of a value", "Max"])
def test_pads_and_maxima_with_constants_run_on_integers(kind: str) -> None:
    s = Sketch(opset=18)
    x = s.input("x", [1, 4, 5, 5])
    pads = s.constant("pads", [0, 0, 1, 0, 0, 0, 0, 2], np.int64)
    border = np.where(np.arange(25).reshape(5, 5) % 4, -np.inf, 0.5).astype(np.float32)
    y = {
        "Pad": lambda: s.op("Pad", x, pads),
        "Pad of a value": lambda: s.op("Pad", x, pads, s.constant("value", 1.0)),
        "Max": lambda: s.op("Max", x, s.constant("border", border)),
    }[kind]()
    model = s.model(s.op("Add", y, s.constant("one", 1.0)))
    edges = frozenset({(y.name or "", 0), ("Add_0", 0)})
    qparams = dict.fromkeys(("x", y.name or ""), asymmetric_qparams(Range(-3.0, 4.0)))
    whole = insert_qdq(Placement(frozenset(), edges), qparams)(model)
    changed = integer_relu_pad_max(whole)
    assert operators(changed)["DequantizeLinear"] == operators(changed)["QuantizeLinear"] == 1
    assert np.array_equal(onnx_answers(changed, [IMAGE])[0], onnx_answers(whole, [IMAGE])[0])


def test_reflecting_pads_and_maxima_of_two_tensors_stay_in_float() -> None:
    s = Sketch(opset=18)
    x = s.input("x", [1, 4, 5, 5])
    pad = s.op("Pad", x, s.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64), mode="reflect")
    both = s.op("Max", x, s.input("y", [1, 4, 5, 5]))
    assert [has_integer_form(value.producer()) for value in (pad, both)] == [False, False]


def test_a_relu_between_different_parameters_stays_in_float() -> None:
    assert operators(integer_relu_pad_max(relu_between(5.0)))["Relu"] == 1


def biased(bias: np.ndarray, scale: float = 1.0) -> ir.Model:
    s = Sketch(opset=18)
    weights = s.constant("w", normal(4, 4, 3, 3, scale=scale))
    y = s.op("Conv", s.input("x", [1, 4, 5, 5]), weights, s.constant("b", bias))
    placed = Placement(
        frozenset({"Conv_0"}), frozenset({("Conv_0", 0)}), weights=frozenset({"Conv_0"})
    )
    return insert_qdq(placed, {"x": asymmetric_qparams(Range(-3.0, 4.0))})(s.model(y))


def test_the_scale_of_a_bias_is_that_of_input_times_weights() -> None:
    bias = normal(4, seed=1)
    model = biased(bias)
    changed = quantize_bias(model)
    stored = changed.graph.initializers
    step = stored["x.scale"].const_value.numpy() * stored["w.scale"].const_value.numpy()
    assert np.array_equal(stored["Conv_0.bias.quantized"].const_value.numpy(), np.rint(bias / step))
    before, after = (onnx_answers(m, [IMAGE])[0] for m in (model, changed))
    assert np.abs(after - before).max() <= step.max() / 2 + 1e-5


def test_tiny_weights_with_a_large_bias_get_a_scale_that_keeps_the_bias_in_int32() -> None:
    bias = np.array([1e4, -1e4, 0, 1], np.float32)
    changed = quantize_bias(biased(bias, scale=1e-20))
    stored = changed.graph.initializers["Conv_0.bias.quantized"].const_value.numpy()
    assert stored.dtype == np.int32
    assert np.abs(onnx_answers(changed, [IMAGE])[0].mean(axis=(0, 2, 3)) - bias).max() < 1e-2
