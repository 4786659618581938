"""merge_reshapes: chains of reshapes as one node or none."""

import numpy as np
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.merge_reshapes import merge_reshapes


def test_reshapes_that_cancel_are_removed() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    flat = s.op("Flatten", s.op("Exp", x), axis=1)
    back = s.op("Reshape", flat, s.constant("shape", [0, 3, 4], np.int64))
    changed = assert_pure_and_equal(
        merge_reshapes, s.model(s.op("Relu", back)), {"x": normal(2, 3, 4)}
    )
    assert operators(changed) == {"Exp": 1, "Relu": 1}


def test_a_chain_becomes_one_reshape() -> None:
    s = Sketch()
    x = s.input("x", ["batch", 3, 4, 1])
    y = s.op("Squeeze", x, s.constant("last", [3], np.int64))
    y = s.op("Reshape", s.op("Flatten", y, axis=1), s.constant("to", [0, 2, 6], np.int64))
    changed = assert_pure_and_equal(
        merge_reshapes, s.model(s.op("Relu", y)), {"x": normal(2, 3, 4, 1)}
    )
    assert operators(changed) == {"Reshape": 1, "Relu": 1}


def test_an_intermediate_reshape_with_other_readers_stays() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    flat = s.op("Flatten", x, axis=1)
    back = s.op("Reshape", flat, s.constant("shape", [0, 3, 4], np.int64))
    model = s.model(s.op("Relu", back), s.op("Exp", flat))
    changed = assert_pure_and_equal(merge_reshapes, model, {"x": normal(2, 3, 4)})
    assert operators(changed) == {"Flatten": 1, "Relu": 1, "Exp": 1}


def test_a_reshape_that_is_an_output_keeps_its_name() -> None:
    s = Sketch()
    x = s.input("x", [2, 3, 4])
    flat = s.op("Flatten", s.op("Exp", x), axis=1)
    model = s.model(s.op("Reshape", flat, s.constant("shape", [0, 4, 3], np.int64)))
    changed = assert_pure_and_equal(merge_reshapes, model, {"x": normal(2, 3, 4)})
    assert operators(changed) == {"Exp": 1, "Reshape": 1}
