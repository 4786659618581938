"""round_input_shift: an integer shift, and the fraction in the bias."""

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, normal, onnx_answers

from kexport.passes.round_input_shift import round_input_shift

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)


def shifted(shift: object, pads: int = 0, group: int = 1) -> ir.Model:
    s = Sketch(opset=18)
    image = s.input("image", [1, 3, 6, 6], ir.DataType.UINT8)
    x = s.op("Cast", image, to=ir.DataType.FLOAT.value)
    x = s.op("Add", x, s.constant("shift", shift))
    weights, bias = s.constant("w", normal(6, 3 // group, 3, 3)), s.constant("b", normal(6))
    return s.model(s.op("Conv", x, weights, bias, pads=[pads] * 4, group=group))


def added(model: ir.Model) -> np.ndarray:
    (add,) = [node for node in model.graph if node.op_type == "Add"]
    return add.inputs[1].const_value.numpy()


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("shift", [-127.5, np.reshape([-127.5, -127.0, -127.3], (3, 1, 1))])
def test_the_fraction_of_the_shift_goes_into_the_bias(shift: object, group: int) -> None:
    model = shifted(shift, group=group)
    changed = assert_pure_and_equal(round_input_shift, model, {"image": PIXELS})
    assert added(changed) == -127.0


def test_padding_differs_by_the_fraction_only() -> None:
    model = shifted(-127.5, pads=1)
    before, after = (onnx_answers(m, [PIXELS])[0] for m in (model, round_input_shift(model)))
    assert np.abs(after - before)[..., 1:-1, 1:-1].max() < 1e-3
    most = 0.5 * np.abs(normal(6, 3, 3, 3)).sum(axis=(1, 2, 3)).max()
    assert 0 < np.abs(after - before).max() <= most


@pytest.mark.parametrize("shift", [3.5, -300.0, np.reshape([-103.9, -116.8, -123.7], (3, 1, 1))])
def test_shifts_outside_the_zero_point_range_stay(shift: object) -> None:
    model = shifted(shift)
    changed = assert_pure_and_equal(round_input_shift, model, {"image": PIXELS})
    assert np.array_equal(added(changed), added(model))
