"""Quantization parameters: compared with ONNX' QuantizeLinear and DequantizeLinear."""

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from support import normal

from kexport.calibration.quantizer.qparams import (
    QParams,
    asymmetric_qparams,
    dequantize_array,
    quantize_array,
    symmetric_qparams,
    weight_qparams,
    with_float16_scales,
)
from kexport.calibration.statistics.histogram import Range

TYPES = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}
AWKWARD = np.array([0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e-20, 300, -300, 3e5], np.float32)


def by_onnx(array: np.ndarray, qparams: QParams) -> list[np.ndarray]:
    """Quantize and dequantize with ONNX' reference implementation."""
    axis = {} if qparams.axis is None else {"axis": qparams.axis}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **axis),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **axis),
    ]
    inputs = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, array.shape),
        helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, qparams.scale.shape),
        helper.make_tensor_value_info("z", TYPES[qparams.dtype], qparams.zero_point.shape),
    ]
    outputs = [
        helper.make_tensor_value_info("q", TYPES[qparams.dtype], array.shape),
        helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, array.shape),
    ]
    graph = helper.make_graph(nodes, "qparams", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    feeds = {"x": array, "s": qparams.scale, "z": qparams.zero_point}
    return ReferenceEvaluator(model).run(None, feeds)


@pytest.mark.parametrize("array", [normal(4, 5, scale=3.0), AWKWARD], ids=["normal", "awkward"])
@pytest.mark.parametrize(
    "qparams",
    [
        asymmetric_qparams(Range(-1.0, 3.0)),
        asymmetric_qparams(Range(0.0, 255.0)),
        symmetric_qparams(Range(-5.0, 2.0)),
    ],
    ids=["affine", "bytes", "symmetric"],
)
def test_quantized_arrays_equal_those_of_onnx(array: np.ndarray, qparams: QParams) -> None:
    integers, numbers = by_onnx(array, qparams)
    given = quantize_array(array, qparams)
    assert given.dtype == qparams.dtype
    assert np.array_equal(given, integers)
    assert np.array_equal(dequantize_array(given, qparams), numbers)


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_quantized_per_output_channel_as_in_onnx(axis: int) -> None:
    weights = normal(6, 4, 3, 3) * np.logspace(-3, 2, 6, dtype=np.float32).reshape(6, 1, 1, 1)
    qparams = weight_qparams(weights, axis, largest=63)
    integers, numbers = by_onnx(weights, qparams)
    assert np.array_equal(quantize_array(weights, qparams), integers)
    assert np.array_equal(dequantize_array(integers, qparams), numbers)
    others = tuple({0, 1, 2, 3} - {axis})
    assert (np.abs(integers.astype(int)).max(axis=others) == 63).all()


@pytest.mark.parametrize("low", [0.0, -0.3, -7.0])
def test_zero_is_exact_and_the_ends_of_the_range_are_covered(low: float) -> None:
    qparams = asymmetric_qparams(Range(low, 4.2))
    ends = np.array([low, 0.0, 4.2], np.float32)
    back = dequantize_array(quantize_array(ends, qparams), qparams)
    assert back[1] == 0.0
    assert np.abs(back - ends).max() <= qparams.scale / 2 * 1.0001
    assert (qparams.zero_point == 0) == (low == 0.0)


def test_a_channel_of_zeros_has_a_scale_of_one() -> None:
    weights = np.zeros((2, 3), np.float32)
    weights[1] = 1e-42  # less than the smallest normal number
    qparams = weight_qparams(weights, 0)
    assert np.array_equal(qparams.scale, [1.0, 1.0])
    assert not quantize_array(weights, qparams).any()
    assert asymmetric_qparams(Range(0.0, 0.0)).scale == 1.0


def test_float16_scales_are_rounded_up() -> None:
    weights = normal(8, 16) * np.logspace(-9, 6, 8, dtype=np.float32).reshape(8, 1)
    exact = weight_qparams(weights, 0)
    qparams = with_float16_scales(exact)
    assert qparams.scale.dtype == np.float32
    assert np.array_equal(qparams.scale.astype(np.float16).astype(np.float32), qparams.scale)
    inside = (exact.scale > 1e-4) & (exact.scale < 6e4)
    assert inside.sum() >= 3
    assert (qparams.scale >= exact.scale)[exact.scale < 6e4].all()
    assert (qparams.scale <= exact.scale * (1 + 2**-10))[inside].all()
    assert qparams.scale.min() == 2**-24
    assert with_float16_scales(symmetric_qparams(Range(-127.0, 3.0))).scale == 1.0
