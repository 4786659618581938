"""Quantizer placement for TensorRT: each rule on a small graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, normal, onnx_answers

from kexport import lint, targets
from kexport.calibration.quantizer.qdq import insert_qdq
from kexport.calibration.quantizer.qparams import QParams, symmetric_qparams
from kexport.calibration.quantizer.tensorrt import activation_qparams, place
from kexport.calibration.statistics.histogram import Range

Value = ir.Value


def conv(
    s: Sketch, x: Value, makes: int, kernel: tuple[int, int] = (3, 3), group: int = 1
) -> Value:
    takes = x.shape[1]
    count = sum(node.op_type == "Conv" for node in s.graph)
    weights = s.constant(f"w{count}", normal(makes, takes // group, *kernel, seed=count, scale=0.1))
    rows, columns = (size // 2 for size in kernel)
    return s.op("Conv", x, weights, pads=[rows, columns, rows, columns], group=group)


def edges(model: ir.Model) -> set[tuple[str, int]]:
    return set(place(model).edges)


def test_the_input_of_a_convolution_is_quantized_and_not_its_output() -> None:
    s = Sketch(17)
    x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
    first = s.op("Relu", conv(s, x, 32))
    placement = place(s.model(conv(s, first, 32)))
    assert placement.weights == placement.nodes == {"Conv_0", "Conv_1"}
    assert placement.edges == {("Conv_0", 0), ("Conv_1", 0)}
    assert placement.unified == ()


@pytest.mark.parametrize(
    ("takes", "makes", "kernel", "group", "wanted"),
    [
        (3, 32, (3, 3), 1, True),  # the first layer of most Applications
        (3, 32, (1, 3), 1, False),
        (3, 20, (3, 3), 1, False),
        (12, 8, (3, 3), 1, False),
        (16, 16, (1, 7), 1, True),
        (16, 10, (1, 1), 1, True),
        (32, 32, (3, 3), 32, True),  # depthwise
        (8, 8, (3, 3), 8, True),
        (8, 8, (1, 1), 8, False),
        (20, 20, (3, 3), 20, False),
    ],
)
def test_convolutions_are_quantized_where_int8_is_faster(
    takes: int, makes: int, kernel: tuple[int, int], group: int, wanted: bool
) -> None:
    s = Sketch(17)
    model = s.model(conv(s, s.input("x", [1, takes, 8, 8]), makes, kernel, group))
    assert place(model).weights == ({"Conv_0"} if wanted else set())


@pytest.mark.parametrize(
    ("rows", "width", "wanted"),
    [(1, 64, False), (49, 64, True), ("batch", 64, False), (4, 8, False)],
)
def test_products_of_one_row_stay_in_float(rows: int | str, width: int, wanted: bool) -> None:
    s = Sketch(17)
    x, weights = s.input("x", [rows, width]), s.constant("w", normal(width, 32))
    assert place(s.model(s.op("Gemm", x, weights))).weights == ({"Gemm_0"} if wanted else set())
    s = Sketch(17)
    x, weights = s.input("x", [rows, width]), s.constant("w", normal(width, 32))
    assert place(s.model(s.op("MatMul", x, weights))).weights == ({"MatMul_0"} if wanted else set())


def test_named_nodes_stay_in_float() -> None:
    s = Sketch(17)
    y = s.op("Relu", conv(s, s.input("x", [1, 16, 8, 8]), 16))
    model = s.model(conv(s, y, 16))
    assert place(model, frozenset({"Conv_0"})).weights == {"Conv_1"}
    assert place(model, frozenset({"Conv_0", "Conv_1"})).edges == frozenset()


def residual(project: bool) -> ir.Model:
    """Build relu -> conv -> add with the relu, or with a convolution of it."""
    s = Sketch(17)
    x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
    shortcut = conv(s, x, 16, (1, 1)) if project else x
    body = conv(s, s.op("Relu", conv(s, x, 16)), 16)
    return s.model(s.op("Relu", s.op("Add", body, shortcut)))


def test_one_input_of_a_residual_add_is_fused_with_its_convolution() -> None:
    assert {edge for edge in edges(residual(False)) if edge[0] == "Add_0"} == {("Add_0", 1)}


def test_of_two_convolutions_the_later_one_is_fused_with_the_add() -> None:
    found = place(residual(True))
    assert {edge for edge in found.edges if edge[0] == "Add_0"} == {("Add_0", 1)}
    assert "Conv_0" in {value.name for value in found.values(residual(True))}


def test_an_add_without_a_convolution_to_fuse_stays_in_float() -> None:
    s = Sketch(17)
    x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
    y = conv(s, x, 16)
    total = s.op("Add", y, x)
    assert edges(s.model(total, s.op("Relu", y))) == {("Conv_0", 0)}
    s = Sketch(17)
    y = conv(s, s.input("x", [1, 16, 8, 8]), 16)
    shifted = s.op("Add", y, s.constant("b", normal(1, 16, 1, 1)))
    assert edges(s.model(shifted)) == {("Conv_0", 0)}
    model = residual(False)
    assert not any(name == "Add_0" for name, _ in place(model, frozenset({"Conv_1"})).edges)


def test_the_output_of_a_concat_and_the_input_of_a_pool_before_it_are_quantized() -> None:
    s = Sketch(17)
    x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
    left = s.op("Relu", conv(s, x, 16))
    right = s.op("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    both = s.op("Concat", left, right, axis=1)
    found = place(s.model(conv(s, both, 16)))
    assert found.edges == {("Conv_0", 0), ("MaxPool_0", 0), ("Conv_1", 0)}
    assert found.unified == ()


def test_tensors_between_which_elements_only_move_share_their_parameters() -> None:
    s = Sketch(17)
    x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
    left = s.op("Relu", conv(s, x, 16))
    side = conv(s, left, 16)
    pooled = s.op("MaxPool", s.op("Concat", left, x, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    found = place(s.model(conv(s, pooled, 16), side))
    assert ("MaxPool_0", 0) in found.edges
    assert set(found.unified) == {frozenset({"Relu_0", "Relu_1", "Concat_0", "MaxPool_0"})}


def test_the_input_of_an_average_pool_is_quantized_where_a_convolution_follows() -> None:
    for follows in (True, False):
        s = Sketch(17)
        x = s.op("Relu", s.input("x", [1, 16, 8, 8]))
        pooled = s.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        model = s.model(conv(s, pooled, 16) if follows else s.op("Relu", pooled))
        wanted = {("AveragePool_0", 0), ("Conv_0", 0)} if follows else set()
        assert edges(model) == wanted
        assert place(model).unified == ()


def squeeze_and_excite() -> ir.Model:
    """Build a depthwise Conv, a swish, its gate of two 1 x 1 convolutions, and a projection."""
    s = Sketch(17)
    x = conv(s, s.op("Relu", s.input("x", [1, 32, 8, 8])), 32, group=32)
    swish = s.op("Mul", x, s.op("Sigmoid", x))
    squeezed = s.op("GlobalAveragePool", swish)
    gate = s.op("Sigmoid", conv(s, s.op("Relu", conv(s, squeezed, 16, (1, 1))), 32, (1, 1)))
    return s.model(conv(s, s.op("Mul", swish, gate), 16, (1, 1)))


def test_both_inputs_of_squeeze_and_excite_are_quantized() -> None:
    found = place(squeeze_and_excite())
    assert found.weights == {"Conv_0", "Conv_3"}
    assert found.edges == {
        *(("Conv_0", 0), ("Conv_3", 0)),
        *(("Mul_1", 0), ("Mul_1", 1), ("GlobalAveragePool_0", 0)),
    }


def test_a_swish_stays_in_float_with_its_convolution() -> None:
    assert not any(name in ("Mul_0", "Sigmoid_0") for name, _ in edges(squeeze_and_excite()))


def test_activations_are_quantized_symmetrically() -> None:
    value = Value(name="x")
    found = activation_qparams(value, Range(-1.0, 3.0))
    assert (found.dtype, float(found.zero_point)) == ("int8", 0)
    np.testing.assert_allclose(found.scale, 3.0 / 127, rtol=1e-6)


def values_of(model: ir.Model, names: list[str], image: np.ndarray) -> list[np.ndarray]:
    probed = model.clone()
    values = {out.name: out for node in probed.graph for out in node.outputs}
    del probed.graph.outputs[:]
    probed.graph.outputs.extend(values[name] for name in names)
    return onnx_answers(probed, [image])


def covering(array: np.ndarray) -> QParams:
    return symmetric_qparams(Range(float(array.min()), float(array.max())))


@pytest.mark.parametrize("make", [lambda: residual(True), squeeze_and_excite])
@pytest.mark.parametrize("jetpack", ["5.1", "6.0", "6.2", "7.2"])
def test_a_quantized_graph_breaks_no_rule_of_any_toolchain(make, jetpack: str) -> None:
    model = make()
    placement = place(model)
    image = normal(*(model.graph.inputs[0].shape or ()), seed=9)
    names = sorted(placement.tensors(model))
    qparams = dict(zip(names, map(covering, values_of(model, names, image)), strict=True))
    changed = insert_qdq(placement, qparams)(model)
    found = lint.find(changed, targets.place("jetson-orin-int8", jetpack=jetpack))
    assert [finding for finding in found if finding.refuses] == []
    (exact,), (near,) = onnx_answers(model, [image]), onnx_answers(changed, [image])
    assert 0 < np.abs(near - exact).max() < 0.3 * exact.std()
