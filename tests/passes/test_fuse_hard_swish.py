"""fuse_hard_swish: the formulas of MobileNetV3 as one node."""

import numpy as np
import pytest
from support import Sketch, assert_pure_and_equal, operators

from kexport.passes.fuse_hard_swish import fuse_hard_swish

X = np.linspace(-6, 6, 49, dtype=np.float32)[None]


def sketch(
    shift: float = 3.0, high: float = 6.0, factor: float = 1 / 6, swish: bool = False
) -> Sketch:
    s = Sketch()
    x = s.input("x", [1, 49])
    y = s.op("Add", x, s.constant("three", shift))
    y = s.op("Clip", y, s.constant("low", 0.0), s.constant("high", high))
    y = s.op("Mul", y, s.constant("sixth", factor))
    s.graph.outputs.append(s.op("Mul", x, y) if swish else y)
    return s


def test_hard_sigmoid_is_recognized() -> None:
    changed = assert_pure_and_equal(fuse_hard_swish, sketch().model(), {"x": X}, 1e-6)
    assert operators(changed) == {"HardSigmoid": 1}


def test_hard_swish_is_recognized() -> None:
    changed = assert_pure_and_equal(fuse_hard_swish, sketch(swish=True).model(), {"x": X}, 1e-6)
    assert operators(changed) == {"HardSwish": 1}


@pytest.mark.parametrize("other", [{"shift": 2.0}, {"high": 5.0}, {"factor": 0.2}])
def test_formulas_with_other_constants_stay(other: dict[str, float]) -> None:
    model = sketch(swish=True, **other).model()
    changed = assert_pure_and_equal(fuse_hard_swish, model, {"x": X})
    assert operators(changed) == {"Add": 1, "Clip": 1, "Mul": 2}


def test_hard_sigmoid_of_another_tensor_is_not_fused() -> None:
    s = sketch()
    z = s.input("z", [1, 49])
    gate = s.graph.outputs.pop()
    model = s.model(s.op("Mul", z, gate))
    changed = assert_pure_and_equal(fuse_hard_swish, model, {"x": X, "z": X[:, ::-1].copy()}, 1e-6)
    assert operators(changed) == {"HardSigmoid": 1, "Mul": 1}
