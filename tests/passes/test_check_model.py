"""check_model: graphs that ONNX refuses are not exported."""

import onnx_ir as ir
import pytest
from support import Sketch, normal, snapshot

from kexport.errors import PassFailed
from kexport.passes.check_model import check_model


def test_a_valid_graph_is_unchanged() -> None:
    s = Sketch()
    model = s.model(s.op("MatMul", s.input("x", [2, 30]), s.constant("w", normal(30, 40))))
    before = snapshot(model)
    check_model.edit(model)
    assert snapshot(model) == before


def test_mismatched_types_are_refused() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    model = s.model(s.op("Add", x, s.constant("c", [1.0, 2.0, 3.0])))
    x.type = ir.TensorType(ir.DataType.FLOAT16)
    with pytest.raises(PassFailed, match="not valid ONNX"):
        check_model(model)


def test_an_unknown_operator_is_refused() -> None:
    s = Sketch()
    x = s.input("x", [2, 3])
    y = s.op("Relu", x)
    y.producer().op_type = "Reluu"
    with pytest.raises(PassFailed, match="Reluu"):
        check_model(s.model(y))
