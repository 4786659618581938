"""batch_norm_to_depthwise_conv: a BatchNormalization as a 1 x 1 depthwise Conv."""

import numpy as np
import onnx_ir as ir
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.batch_norm_to_depthwise_conv import batch_norm_to_depthwise_conv


def norm(shape: list[int]) -> ir.Model:
    s = Sketch(opset=18)
    statistics = [normal(5, seed=seed) for seed in range(3)] + [np.abs(normal(5)) + 0.1]
    names = ("scale", "shift", "mean", "variance")
    constants = [s.constant(n, x) for n, x in zip(names, statistics, strict=True)]
    x = s.op("Relu", s.input("x", shape))
    return s.model(s.op("BatchNormalization", x, *constants, epsilon=1e-3))


def test_outputs_are_equal_and_the_name_is_kept() -> None:
    feeds = {"x": normal(2, 5, 3, 4)}
    changed = assert_pure_and_equal(batch_norm_to_depthwise_conv, norm([2, 5, 3, 4]), feeds)
    assert operators(changed) == {"Relu": 1, "Conv": 1}
    conv = list(changed.graph)[1]
    assert (conv.name, conv.attributes["group"].value) == ("BatchNormalization_0", 5)


def test_other_ranks_stay() -> None:
    changed = assert_pure_and_equal(
        batch_norm_to_depthwise_conv, norm([2, 5, 3]), {"x": normal(2, 5, 3)}
    )
    assert operators(changed)["BatchNormalization"] == 1
