"""Residual streams in float: which sums and projections belong to them."""

from collections.abc import Callable

import onnx_ir as ir
import pytest
from support import Sketch, normal

from kexport.calibration.quantizer.onnxruntime_cpu import place
from kexport.calibration.quantizer.residual_streams import float_streams

Values = dict[str, ir.Value]


def conv(s: Sketch, x: ir.Value, made: int, read: int, window: int = 1) -> ir.Value:
    count = sum(node.op_type == "Conv" for node in s.graph)
    weights = s.constant(f"w{count}", normal(made, read, window, window))
    return s.op("Conv", x, weights, s.constant(f"b{count}", normal(made)))


def block(s: Sketch, x: ir.Value) -> ir.Value:
    """Add an inverted residual of 4 channels, without its sum."""
    return conv(s, s.op("Relu", conv(s, x, 8, 4)), 4, 8)


def inverted_residuals(s: Sketch) -> ir.Value:
    """Build a stream of two sums; Conv_0, Conv_2 and Conv_4 project into it."""
    first = conv(s, s.input("x", [1, 8, 6, 6]), 4, 8)
    second = s.op("Add", block(s, first), first)
    return s.op("Add", block(s, second), second)


def names(nodes: frozenset[ir.Node]) -> set[str]:
    return {node.name or "" for node in nodes}


def test_sums_of_projections_form_a_stream() -> None:
    s = Sketch()
    model = s.model(conv(s, inverted_residuals(s), 16, 4))
    found = float_streams(model)
    assert names(found.sums) == {"Add_0", "Add_1"}
    assert names(found.projections) == {"Conv_0", "Conv_2", "Conv_4"}


def test_only_the_readers_round_a_stream() -> None:
    s = Sketch()
    model = s.model(s.op("Relu", conv(s, conv(s, inverted_residuals(s), 16, 4), 8, 16)))
    placed = place(model)
    assert placed.weights == placed.nodes == {f"Conv_{index}" for index in range(6)}
    rounding = {name for name, index in placed.edges if index == 0}
    assert rounding >= {"Conv_1", "Conv_3", "Conv_5"}
    assert rounding.isdisjoint({"Add_0", "Add_1"})


def test_a_stream_that_is_an_output_stays_integer() -> None:
    s = Sketch()
    stream = inverted_residuals(s)
    model = s.model(conv(s, stream, 16, 4), stream)
    assert float_streams(model).sums == frozenset()


@pytest.mark.parametrize(
    "reader",
    [
        lambda s, x: s.op("Relu", x),
        lambda s, x: s.op("GlobalAveragePool", x),
        lambda s, x: s.op("Add", x, s.constant("c", normal(1, 4, 1, 1))),
    ],
)
def test_a_stream_that_other_operators_read_stays_integer(
    reader: Callable[[Sketch, ir.Value], ir.Value],
) -> None:
    s = Sketch()
    model = s.model(conv(s, reader(s, inverted_residuals(s)), 16, 4))
    assert float_streams(model).sums == frozenset()


def test_a_sum_with_an_activation_stays_integer() -> None:
    s = Sketch()
    x = s.input("x", [1, 8, 6, 6])
    first = s.op("Relu", conv(s, x, 4, 8))
    model = s.model(conv(s, s.op("Add", block(s, first), first), 16, 4))
    assert float_streams(model).sums == frozenset()


@pytest.mark.parametrize(("read", "window"), [(2, 1), (4, 1), (8, 3)])
def test_convolutions_that_are_no_projections_keep_an_integer_result(
    read: int, window: int
) -> None:
    s = Sketch()
    x = s.input("x", [1, read, 6, 6])
    y = s.input("y", [1, 8, 7 - window, 7 - window])
    model = s.model(conv(s, s.op("Add", conv(s, x, 4, read, window), conv(s, y, 4, 8)), 16, 4))
    assert float_streams(model).sums == frozenset()
