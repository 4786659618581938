"""fold_constants: nodes that do not depend on the input are computed at export."""

import numpy as np
import onnx_ir as ir
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.cleanup import remove_unused
from kexport.passes.fold_constants import fold_constants


def test_a_chain_of_constants_is_folded() -> None:
    s = Sketch()
    x, a = s.input("x", [2, 3]), s.constant("a", [4.0, 9.0, 16.0])
    model = s.model(s.op("Add", x, s.op("Sqrt", s.op("Mul", a, a))))
    changed = assert_pure_and_equal(fold_constants, model, {"x": normal(2, 3)})
    assert operators(changed) == {"Add": 1}
    (folded,) = remove_unused(changed).graph.initializers.values()
    np.testing.assert_array_equal(folded.const_value.numpy(), [4, 9, 16])


def test_random_nodes_are_not_folded() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    noise = s.op("RandomNormal", shape=[2, 3])
    model = s.model(s.op("Add", x, noise))
    assert operators(fold_constants(model)) == {"RandomNormal": 1, "Add": 1}


def test_a_constant_that_is_an_output_stays_a_node() -> None:
    s = Sketch()
    x, a = s.input("x", [3]), s.constant("a", [4.0, 9.0, 16.0])
    model = s.model(s.op("Relu", x), s.op("Sqrt", a))
    changed = assert_pure_and_equal(fold_constants, model, {"x": normal(3)})
    assert operators(changed)["Sqrt"] == 1


def test_shape_of_known_axes_is_folded() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    rows = s.op("Shape", x, start=1)
    model = s.model(
        s.op("Reshape", x, s.op("Concat", s.constant("a", [2], np.int64), rows, axis=0))
    )
    changed = assert_pure_and_equal(fold_constants, model, {"x": normal(2, 3, 4)})
    assert operators(changed) == {"Reshape": 1}


def test_shape_of_open_axes_stays() -> None:
    s = Sketch()
    model = s.model(s.op("Shape", s.input("x", ["batch", 3])))
    assert operators(fold_constants(model)) == {"Shape": 1}


def test_shape_that_becomes_known_while_folding() -> None:
    """The end of tf2onnx's sort, which reads the length of an axis after a Reshape."""
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    flat = s.op("Reshape", x, s.constant("to", [-1, 12], np.int64))
    flat.shape = ir.Shape([None, 12])
    positions = [s.constant(name, [at], np.int64) for name, at in (("first", 0), ("end", 1))]
    rows = s.op("Slice", s.op("Shape", flat), *positions)
    model = s.model(s.op("Tile", x, s.op("Concat", rows, *positions[::-1], axis=0)))
    model.graph.outputs[0].shape = None
    changed = fold_constants(model)
    assert operators(remove_unused(changed)) == {"Tile": 1}
    assert list(changed.graph.outputs[0].shape or ()) == [4, 3, 0]
