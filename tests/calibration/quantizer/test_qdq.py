"""insert_qdq: QDQ pairs on the edges of a placement, and on no others."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator
from support import Sketch, normal, onnx_answers, operators, snapshot

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qdq import insert_qdq
from kexport.calibration.quantizer.qparams import (
    QParams,
    QuantizedWeights,
    asymmetric_qparams,
    dequantize_array,
    quantize_array,
    symmetric_qparams,
    weight_qparams,
)
from kexport.calibration.statistics.histogram import Range
from kexport.graph import save

PAIRS = {"QuantizeLinear": 2, "DequantizeLinear": 3}


def two_readers() -> ir.Model:
    """Build a Relu that is read by a Conv, and by an Add with the output of the Conv."""
    s = Sketch(opset=19)
    x = s.op("Relu", s.input("x", [1, 4, 5, 5]))
    conv = s.op("Conv", x, s.constant("w", normal(4, 4, 3, 3)), pads=[1, 1, 1, 1])
    return s.model(s.op("Add", conv, x))


PLACED = Placement(
    nodes=frozenset({"Conv_0", "Add_0"}),
    edges=frozenset({("Conv_0", 0), ("Add_0", 0), ("Add_0", 1)}),
    weights=frozenset({"Conv_0"}),
)
QPARAMS = {
    "Relu_0": asymmetric_qparams(Range(0.0, 3.0)),
    "Conv_0": asymmetric_qparams(Range(-9.0, 8.0)),
}


def rounded(array: np.ndarray, qparams: QParams) -> np.ndarray:
    return dequantize_array(quantize_array(array, qparams), qparams)


def test_one_pair_serves_all_edges_of_a_tensor() -> None:
    model = two_readers()
    before = snapshot(model)
    changed = insert_qdq(PLACED, QPARAMS)(model)
    assert snapshot(model) == before
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)
    assert {name: operators(changed)[name] for name in PAIRS} == PAIRS
    nodes = {node.name: node for node in changed.graph}
    assert nodes["Conv_0"].inputs[0] is nodes["Add_0"].inputs[1]
    assert nodes["Conv_0"].inputs[0].name == "Relu_0.dequantized"
    assert nodes["Relu_0.dequantized"].inputs[0].name == "Relu_0.quantized"


def test_the_graph_computes_what_its_parameters_specify() -> None:
    image = normal(1, 4, 5, 5, seed=3)
    model = two_readers()
    changed = insert_qdq(PLACED, QPARAMS)(model)
    weights = normal(4, 4, 3, 3)
    relu = rounded(np.maximum(image, 0), QPARAMS["Relu_0"])
    s = Sketch(opset=19)
    coarse = rounded(weights, weight_qparams(weights, 0))
    y = s.op("Conv", s.input("x", relu.shape), s.constant("w", coarse), pads=[1, 1, 1, 1])
    conv = rounded(onnx_answers(s.model(y), [relu])[0], QPARAMS["Conv_0"])
    assert np.array_equal(onnx_answers(changed, [image])[0], conv + relu)
    (reference,) = ReferenceEvaluator(ir.to_proto(changed)).run(None, {"x": image})
    step = float(QPARAMS["Conv_0"].scale)  # sums in another order may round to the next level
    assert np.abs(reference - (conv + relu)).max() <= step * 1.001


def test_weights_in_a_file_are_read_and_not_mapped(tmp_path: Path) -> None:
    s = Sketch(opset=19)
    x = s.input("x", [1, 16, 5, 5])
    model = s.model(s.op("Conv", x, s.constant("w", normal(16, 16, 3, 3))))
    path, _ = save.save(model, tmp_path / "model.onnx", external=True)
    loaded = ir.load(path)
    weights = loaded.graph.initializers["w"].const_value
    placed = Placement(frozenset({"Conv_0"}), frozenset(), weights=frozenset({"Conv_0"}))
    made = [insert_qdq(placed, {})(each) for each in (loaded, model)]
    one, other = (each.graph.initializers["w.quantized"].const_value.numpy() for each in made)
    assert np.array_equal(one, other)
    assert isinstance(weights, ir.ExternalTensor)
    assert weights.raw is None


def test_an_edge_that_is_not_placed_reads_the_float_tensor() -> None:
    placed = Placement(frozenset({"Conv_0"}), frozenset({("Conv_0", 0)}))
    changed = insert_qdq(placed, QPARAMS)(two_readers())
    nodes = {node.name: node for node in changed.graph}
    assert nodes["Add_0"].inputs[1].name == "Relu_0"
    assert operators(changed)["DequantizeLinear"] == 1


def test_a_constant_is_stored_as_integers() -> None:
    s = Sketch(opset=19)
    offsets = normal(1, 4, 1, 1)
    y = s.op("Add", s.input("x", [1, 4, 2, 2]), s.constant("offsets", offsets))
    placed = Placement(frozenset({"Add_0"}), frozenset({("Add_0", 1)}))
    qparams = symmetric_qparams(Range(-3.0, 3.0))
    changed = insert_qdq(placed, {"offsets": qparams})(s.model(y))
    assert [node.op_type for node in changed.graph] == ["DequantizeLinear", "Add"]
    stored = changed.graph.initializers["offsets.quantized"].const_value.numpy()
    assert np.array_equal(stored, quantize_array(offsets, qparams))


@pytest.mark.parametrize("zero_point", [0, 128])
def test_bytes_are_dequantized_as_they_are(zero_point: int) -> None:
    s = Sketch(opset=19)
    image = s.input("image", [1, 3, 4, 4], ir.DataType.UINT8)
    x = s.op("Cast", image, to=ir.DataType.FLOAT.value)
    if zero_point:
        x = s.op("Add", x, s.constant("shift", np.float32(-zero_point)))
    s.op("Conv", x, s.constant("w", normal(2, 3, 3, 3)))
    model = s.model(list(s.graph)[-1].outputs[0])
    placed = Placement(
        frozenset({"Conv_0"}), frozenset({("Conv_0", 0)}), weights=frozenset({"Conv_0"})
    )
    qparams = QParams(np.float32(1), np.asarray(zero_point, np.uint8), "uint8")
    weights = normal(2, 3, 3, 3)
    seven_bits = weight_qparams(weights, 0, 63)  # so that no sum saturates on any CPU
    ready = {"Conv_0": QuantizedWeights(quantize_array(weights, seven_bits), seven_bits)}
    changed = insert_qdq(placed, {x.name: qparams}, quantized_weights=ready)(model)
    assert operators(changed)["QuantizeLinear"] == 0
    conv = next(node for node in changed.graph if node.op_type == "Conv")
    assert conv.inputs[0].producer().inputs[0].name == "image"
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 4)).astype(np.uint8)
    gap = onnx_answers(changed, [pixels])[0] - onnx_answers(model, [pixels])[0]
    assert np.abs(gap).max() <= 255 * 27 * np.abs(weights).max() / 63 / 2


@pytest.mark.parametrize(
    ("op_type", "attributes", "axis"),
    [("MatMul", {}, 1), ("Gemm", {}, 1), ("Gemm", {"transB": 1}, 0)],
)
def test_a_dense_layer_is_quantized_per_column(op_type: str, attributes: dict, axis: int) -> None:
    s = Sketch(opset=19)
    weights = normal(4, 4) * np.logspace(-2, 1, 4, dtype=np.float32).reshape(
        (1, 4) if axis else (4, 1)
    )
    y = s.op(op_type, s.input("x", [1, 4]), s.constant("w", weights), **attributes)
    placed = Placement(frozenset(), frozenset(), weights=frozenset({f"{op_type}_0"}))
    changed = insert_qdq(placed, {})(s.model(y))
    given = onnx_answers(changed, [np.eye(4, dtype=np.float32)[:1]])
    assert operators(changed)["DequantizeLinear"] == 1
    scale = changed.graph.initializers["w.scale"].const_value.numpy()
    assert np.allclose(scale, np.abs(weights).max(axis=1 - axis) / 127)
    assert given[0].shape == (1, 4)
