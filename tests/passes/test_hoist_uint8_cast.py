from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, operators, snapshot

from kexport.passes.hoist_uint8_cast import hoist_uint8_cast
from kexport.source.synthetic_images import draw_images

UINT8, HALF, SINGLE = ir.DataType.UINT8, ir.DataType.FLOAT16, ir.DataType.FLOAT
PICTURE = draw_images(1, 4, 6)


def types_read(model: ir.Model, op_type: str) -> set[ir.DataType | None]:
    return {node.inputs[0].dtype for node in model.graph if node.op_type == op_type}


@pytest.mark.parametrize("dtype", [SINGLE, HALF])
def test_cast_moves_before_transpose(dtype: ir.DataType) -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    planes = s.op("Transpose", image, perm=[0, 3, 1, 2])
    y = s.op("Relu", s.op("Cast", planes, to=dtype.value))
    model = s.model(s.op("Cast", y, to=SINGLE.value))
    changed = assert_pure_and_equal(hoist_uint8_cast, model, {"image": PICTURE})
    first, second, *_ = changed.graph
    assert [first.op_type, second.op_type] == ["Cast", "Transpose"]
    assert types_read(changed, "Transpose") == {dtype}
    assert operators(changed)["Cast"] == 2


def test_cast_moves_before_every_moving_operator() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    rows = s.op("Gather", image, s.constant("rows", [3, 1], np.int64), axis=1)
    both = s.op("Concat", rows, rows, axis=3)
    a = s.op("Cast", both, to=SINGLE.value)
    b = s.op("Cast", s.op("Transpose", rows, perm=[0, 3, 1, 2]), to=ir.DataType.INT32.value)
    model = s.model(s.op("Neg", a), s.op("Neg", b))
    changed = assert_pure_and_equal(hoist_uint8_cast, model, {"image": PICTURE})
    assert all(value.dtype != UINT8 for node in changed.graph for value in node.outputs)
    assert types_read(changed, "Cast") == {UINT8, SINGLE}


def test_a_cast_that_is_a_graph_output_moves() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    model = s.model(s.op("Cast", s.op("Transpose", image), to=SINGLE.value))
    changed = assert_pure_and_equal(hoist_uint8_cast, model, {"image": PICTURE})
    assert [node.op_type for node in changed.graph] == ["Cast", "Transpose"]


def test_an_input_that_is_cast_first_is_unchanged() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    model = s.model(s.op("Transpose", s.op("Cast", image, to=SINGLE.value)))
    assert snapshot(hoist_uint8_cast(model)) == snapshot(model)


def test_uint8_arithmetic_stays() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    turned = s.op("Transpose", image)
    model = s.model(s.op("Add", turned, turned), s.op("Cast", turned, to=SINGLE.value))
    assert snapshot(hoist_uint8_cast(model)) == snapshot(model)


def test_uint8_from_other_sources_stays() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    frame = s.constant("frame", np.zeros((1, 4, 6, 3)), np.uint8)
    joined = s.op("Concat", image, frame, axis=1)
    model = s.model(s.op("Cast", joined, to=SINGLE.value))
    assert snapshot(hoist_uint8_cast(model)) == snapshot(model)


def test_a_cast_to_integers_reads_floats() -> None:
    s = Sketch()
    image = s.input("image", [1, 4, 6, 3], UINT8)
    model = s.model(s.op("Neg", s.op("Cast", image, to=ir.DataType.INT32.value)))
    changed = assert_pure_and_equal(hoist_uint8_cast, model, {"image": PICTURE})
    assert [node.op_type for node in changed.graph] == ["Cast", "Cast", "Neg"]
    assert types_read(changed, "Cast") == {UINT8, SINGLE}
