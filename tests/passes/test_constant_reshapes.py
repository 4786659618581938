"""constant_reshapes: shapes that are known, though nodes compute them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from support import Sketch, assert_pure_and_equal, normal

from kexport.passes.cleanup import remove_unused
from kexport.passes.constant_reshapes import constant_reshapes


def reshaped(before: list[int | str], after: list[int | str | None], axis: int = 0) -> ir.Model:
    """Return a Reshape to the extents of `x` at `axis`, then those of `after` beyond the first."""
    s = Sketch()
    x = s.input("x", before)
    extent = s.op("Shape", x, start=axis, end=axis + 1)
    rest = s.constant("rest", [dim if isinstance(dim, int) else -1 for dim in after[1:]], np.int64)
    y = s.op("Reshape", s.op("Exp", x), s.op("Concat", extent, rest, axis=0))
    y.shape = ir.Shape(after)
    return s.model(s.op("Relu", y))


def shape_of_reshape(model: ir.Model) -> list[int] | None:
    (node,) = (node for node in model.graph if node.op_type == "Reshape")
    known = node.inputs[1].const_value
    return None if known is None else known.numpy().tolist()


def test_an_open_batch_that_stays_is_kept() -> None:
    model = reshaped(["batch", 3, 4], ["batch", 2, 6])
    changed = assert_pure_and_equal(constant_reshapes, model, {"x": normal(5, 3, 4)})
    assert shape_of_reshape(changed) == [0, 2, 6]
    assert [node.op_type for node in remove_unused(changed).graph] == ["Exp", "Reshape", "Relu"]


def test_the_only_open_extent_is_what_remains() -> None:
    model = reshaped([3, "n", 4], ["n", 12], axis=1)
    changed = assert_pure_and_equal(constant_reshapes, model, {"x": normal(3, 5, 4)})
    assert shape_of_reshape(changed) == [-1, 12]


def test_two_open_extents_are_computed() -> None:
    model = reshaped(["batch", "n", 4], ["n", None, 2], axis=1)
    changed = assert_pure_and_equal(constant_reshapes, model, {"x": normal(2, 5, 4)})
    assert shape_of_reshape(changed) is None


def test_an_empty_extent_is_not_taken_for_a_kept_one() -> None:
    model = reshaped(["batch", 0, 4], ["batch", 0, 2])
    changed = assert_pure_and_equal(constant_reshapes, model, {"x": normal(2, 0, 4)})
    assert shape_of_reshape(changed) is None
