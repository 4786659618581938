"""resize_se_gates: gates are resized to their features."""

import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.resize_se_gates import resize_se_gates

GATE, FEATURES = [2, 5, 1, 1], [2, 5, 3, 4]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_gate_is_resized_to_the_features(swapped: bool) -> None:
    s = Sketch()
    x, gate = s.input("x", FEATURES), s.input("gate", GATE)
    model = s.model(s.op("Mul", *([gate, x] if swapped else [x, gate])))
    changed = assert_pure_and_equal(
        resize_se_gates, model, {"x": normal(*FEATURES), "gate": normal(*GATE)}
    )
    assert operators(changed) == {"Resize": 1, "Mul": 1}
    product = next(node for node in changed.graph if node.op_type == "Mul")
    assert {tuple(value.shape or ()) for value in product.inputs if value} == {(2, 5, 3, 4)}


@pytest.mark.parametrize("shape", [[2, 5, 3, 4], [2, 5, 1, 4], [1, 5, 1, 1], [2, 1, 1, 1]])
def test_other_products_stay(shape: list[int]) -> None:
    s = Sketch()
    model = s.model(s.op("Mul", s.input("x", FEATURES), s.input("y", shape)))
    feeds = {"x": normal(*FEATURES), "y": normal(*shape)}
    assert operators(assert_pure_and_equal(resize_se_gates, model, feeds)) == {"Mul": 1}


def test_a_constant_scale_stays() -> None:
    s = Sketch()
    model = s.model(s.op("Mul", s.input("x", [1, 5, 3, 4]), s.constant("c", normal(1, 5, 1, 1))))
    changed = assert_pure_and_equal(resize_se_gates, model, {"x": normal(1, 5, 3, 4)})
    assert operators(changed) == {"Mul": 1}


def test_open_axes_stay() -> None:
    s = Sketch()
    x, gate = s.input("x", [1, 5, "h", "w"]), s.input("gate", [1, 5, 1, 1])
    model: ir.Model = s.model(s.op("Mul", x, gate))
    feeds = {"x": normal(1, 5, 3, 4), "gate": normal(1, 5, 1, 1)}
    assert operators(assert_pure_and_equal(resize_se_gates, model, feeds)) == {"Mul": 1}
