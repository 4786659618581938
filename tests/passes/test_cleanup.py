"""Clean-up passes: duplicates and unread nodes."""

from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.cleanup import remove_unused


def test_identities_duplicates_and_unread_nodes_are_removed() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    first, second = s.op("Relu", s.op("Identity", x)), s.op("Relu", x)
    s.op("Exp", x)
    s.constant("unread", [1.0, 2.0])
    model = s.model(s.op("Add", first, second))
    changed = assert_pure_and_equal(remove_unused, model, {"x": normal(2, 3)})
    assert operators(changed) == {"Relu": 1, "Add": 1}
    assert not changed.graph.initializers


def test_constant_nodes_become_initializers() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    model = s.model(s.op("Add", x, s.op("Constant", value_floats=[1.0, 2.0, 3.0])))
    changed = assert_pure_and_equal(remove_unused, model, {"x": normal(2, 3)})
    assert operators(changed) == {"Add": 1}


def test_an_output_that_is_the_input_stays() -> None:
    s = Sketch()
    model = s.model(s.op("Identity", s.input("x", [2, 3])))
    assert_pure_and_equal(remove_unused, model, {"x": normal(2, 3)})


def test_outputs_with_the_same_values_keep_their_names() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    y = s.op("Relu", x)
    model = s.model(y, s.op("Identity", y), s.op("Identity", s.op("Identity", y)), s.op("Relu", x))
    changed = assert_pure_and_equal(remove_unused, model, {"x": normal(2, 3)})
    assert len({value.name for value in changed.graph.outputs}) == 4
    assert operators(changed)["Relu"] <= 2
