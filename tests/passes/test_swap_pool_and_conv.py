"""swap_pool_and_conv: an AveragePool and a 1 x 1 Conv, in the order that computes less."""

import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, normal

from kexport.passes.swap_pool_and_conv import swap_pool_and_conv

SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
HALVING = {"kernel_shape": [2, 2], "strides": [2, 2]}


def conv(s: Sketch, x: ir.Value, made: int, size: int = 1, **attributes: object) -> ir.Value:
    channels = (x.shape or [])[1]
    assert isinstance(channels, int)
    weights = s.constant("w", normal(made, channels, size, size, seed=1))
    return s.op("Conv", x, weights, s.constant("b", normal(made, seed=2)), **attributes)


def order(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def swapped(model: ir.Model, shape: tuple[int, ...] = (2, 6, 7, 8)) -> list[str]:
    return order(assert_pure_and_equal(swap_pool_and_conv, model, {"x": normal(*shape)}))


@pytest.mark.parametrize("as_output", [False, True])
def test_a_pool_moves_after_a_conv_that_reduces_channels(as_output: bool) -> None:
    s = Sketch()
    made = conv(s, s.op("AveragePool", s.input("x", [2, 6, 7, 8]), **SAME), 3)
    model = s.model(made if as_output else s.op("Relu", made))
    assert swapped(model)[:2] == ["Conv", "AveragePool"]


@pytest.mark.parametrize("as_output", [False, True])
def test_a_pool_with_stride_moves_before_the_conv(as_output: bool) -> None:
    s = Sketch()
    made = s.op("AveragePool", conv(s, s.input("x", [2, 6, 7, 8]), 3), **HALVING)
    model = s.model(made if as_output else s.op("Relu", made))
    assert swapped(model)[:2] == ["AveragePool", "Conv"]


def test_the_cheaper_order_stays() -> None:
    s = Sketch()
    pooled = s.op("AveragePool", conv(s, s.input("x", [2, 6, 7, 8]), 3), **SAME)
    model = s.model(pooled)
    assert swapped(model) == ["Conv", "AveragePool"]


def test_a_conv_that_adds_channels_stays_after_the_pool() -> None:
    s = Sketch()
    model = s.model(conv(s, s.op("AveragePool", s.input("x", [2, 6, 7, 8]), **SAME), 12))
    assert swapped(model) == ["AveragePool", "Conv"]


@pytest.mark.parametrize(
    "attributes",
    [{"size": 3}, {"strides": [2, 2]}, {"pads": [1, 1, 1, 1]}],
    ids=["3 x 3", "strided", "padded"],
)
def test_convs_that_are_not_1x1_stay(attributes: dict[str, object]) -> None:
    s = Sketch()
    pooled = s.op("AveragePool", s.input("x", [2, 6, 7, 8]), **SAME)
    model = s.model(conv(s, pooled, 3, **attributes))  # type: ignore[arg-type]
    assert swapped(model) == ["AveragePool", "Conv"]


def test_a_pool_that_counts_its_padding_stays() -> None:
    s = Sketch()
    pooled = s.op("AveragePool", s.input("x", [2, 6, 7, 8]), count_include_pad=1, **SAME)
    assert swapped(s.model(conv(s, pooled, 3))) == ["AveragePool", "Conv"]


def test_a_value_with_other_readers_stays() -> None:
    s = Sketch()
    pooled = s.op("AveragePool", s.input("x", [2, 6, 7, 8]), **SAME)
    model = s.model(conv(s, pooled, 3), s.op("Relu", pooled))
    assert swapped(model) == ["AveragePool", "Conv", "Relu"]


def test_open_height_and_width_stay() -> None:
    s = Sketch()
    pooled = s.op("AveragePool", s.input("x", [2, 6, "h", "w"]), **SAME)
    changed = assert_pure_and_equal(
        swap_pool_and_conv, s.model(conv(s, pooled, 3)), {"x": normal(2, 6, 7, 8)}
    )
    assert order(changed) == ["AveragePool", "Conv"]
