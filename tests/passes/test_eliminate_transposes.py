"""eliminate_transposes: Transposes cancel or move into weights."""

import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.cleanup import remove_unused
from kexport.passes.eliminate_transposes import eliminate_transposes


def test_transposes_that_cancel_are_removed() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    y = s.op("Transpose", s.op("Transpose", x, perm=[0, 3, 1, 2]), perm=[0, 2, 3, 1])
    model = s.model(s.op("Relu", y))
    changed = assert_pure_and_equal(eliminate_transposes, model, {"x": normal(2, 3, 4, 5)})
    assert operators(changed) == {"Relu": 1}


@pytest.mark.parametrize("second", [[0, 3, 1, 2], [0, 1, 3, 2], [3, 2, 1, 0]])
def test_transposes_that_do_not_cancel_are_merged(second: list[int]) -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    model = s.model(s.op("Transpose", s.op("Transpose", x, perm=[0, 3, 1, 2]), perm=second))
    changed = assert_pure_and_equal(eliminate_transposes, model, {"x": normal(2, 3, 4, 5)})
    assert operators(changed) == {"Transpose": 1}


def test_a_transpose_with_other_readers_stays() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    y = s.op("Transpose", x, perm=[0, 3, 1, 2])
    model = s.model(s.op("Relu", s.op("Transpose", y, perm=[0, 2, 3, 1])), y)
    changed = assert_pure_and_equal(eliminate_transposes, model, {"x": normal(2, 3, 4, 5)})
    assert operators(changed)["Transpose"] >= 1


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 2, 1], [0, 1, 3, 2]])
def test_weight_rows_are_permuted(perm: list[int]) -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    flat = s.op("Flatten", s.op("Transpose", x, perm=perm), axis=1)
    model = s.model(s.op("MatMul", flat, s.constant("w", normal(60, 7))))
    changed = assert_pure_and_equal(eliminate_transposes, model, {"x": normal(2, 3, 4, 5)})
    assert operators(changed) == {"Flatten": 1, "MatMul": 1}


def test_a_flatten_with_other_readers_keeps_its_transpose() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    flat = s.op("Flatten", s.op("Transpose", x, perm=[0, 2, 3, 1]), axis=1)
    model = s.model(s.op("MatMul", flat, s.constant("w", normal(60, 7))), flat)
    changed = assert_pure_and_equal(eliminate_transposes, model, {"x": normal(2, 3, 4, 5)})
    assert operators(changed)["Transpose"] == 1


def between(s: Sketch, middle: str) -> ir.Model:
    """Transpose to channels last, an elementwise operator, and back."""
    x = s.input("x", [2, 3, 4, 5])
    y = s.op("Transpose", x, perm=[0, 2, 3, 1])
    if middle == "gate":
        y = s.op("Mul", s.op("Tanh", y), s.op("Sigmoid", y))
    elif middle == "constants":
        y = s.op("Add", s.op("Mul", y, s.constant("c", normal(3))), s.constant("one", 1.0))
        y = s.op("Sub", s.constant("map", normal(4, 5, 3)), y)
    elif middle == "clip":
        y = s.op("Clip", y, s.constant("low", -0.5), s.constant("high", 0.5))
    return s.model(s.op("Relu", s.op("Transpose", y, perm=[0, 3, 1, 2])))


@pytest.mark.parametrize("middle", ["gate", "constants", "clip"])
def test_elementwise_operators_take_the_outer_layout(middle: str) -> None:
    changed = assert_pure_and_equal(
        eliminate_transposes, between(Sketch(), middle), {"x": normal(2, 3, 4, 5)}
    )
    assert operators(remove_unused(changed))["Transpose"] == 0


def test_regions_with_two_inputs_and_two_outputs() -> None:
    s = Sketch()
    x, z = s.input("x", [2, 3, 4, 5]), s.input("z", [2, 3, 1, 1])
    last = {"perm": [0, 2, 3, 1]}
    y = s.op("Add", s.op("Transpose", x, **last), s.op("Transpose", z, **last))
    first = s.op("Transpose", s.op("Exp", y), perm=[0, 3, 1, 2])
    second = s.op("Transpose", y, perm=[0, 3, 1, 2])
    model = s.model(s.op("Relu", first), s.op("Tanh", second))
    feeds = {"x": normal(2, 3, 4, 5), "z": normal(2, 3, 1, 1, seed=1)}
    changed = assert_pure_and_equal(eliminate_transposes, model, feeds)
    assert operators(remove_unused(changed))["Transpose"] == 0


@pytest.mark.parametrize("kind", ["read elsewhere", "an output", "a reduction", "lower rank"])
def test_operators_that_depend_on_the_layout_stay(kind: str) -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4, 5])
    inside = s.op("Tanh", s.op("Transpose", x, perm=[0, 2, 3, 1]))
    more = []
    y = inside
    if kind == "read elsewhere":
        more = [s.op("Flatten", inside, axis=1)]
    elif kind == "an output":
        more = [inside]
    elif kind == "a reduction":
        y = s.op("Softmax", inside, axis=-1)
    else:
        y = s.op("Mul", inside, s.op("Exp", s.input("z", [3])))
    back = s.op("Transpose", y, perm=[0, 3, 1, 2])
    model = s.model(s.op("Relu", back), *more)
    feeds = {"x": normal(2, 3, 4, 5)}
    if kind == "lower rank":
        feeds["z"] = normal(3)
    changed = assert_pure_and_equal(eliminate_transposes, model, feeds)
    assert operators(changed)["Transpose"] == 2
