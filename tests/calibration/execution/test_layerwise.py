"""Layerwise execution: the results of the whole graph, with changed weights and biases."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, normal, onnx_answers

from kexport.calibration.execution.layerwise import LayerwiseRun

GIVEN = normal(6, 4, 8, 8, seed=9)
WEIGHTS = normal(4, 4, 3, 3, seed=1, scale=0.3)
ADDEND = normal(4, seed=3).astype(np.float64)


def graph(
    *, biased: bool, weights: np.ndarray = WEIGHTS, addend: np.ndarray | None = None
) -> ir.Model:
    """Build two convolutions with a residual sum between; the first has the weights and addend."""
    s = Sketch()
    x = s.input("x", ["n", 4, 8, 8])
    held = normal(4, seed=2) if biased else np.zeros(4, np.float32)
    bias = held if addend is None else (held + addend).astype(np.float32)
    third = [s.constant("b", bias)] if biased or addend is not None else []
    y = s.op("Conv", x, s.constant("w", weights), *third, pads=[1, 1, 1, 1])
    total = s.op("Add", x, s.op("Relu", y))
    last = s.constant("v", normal(2, 4, 1, 1, seed=4))
    return s.model(s.op("Conv", total, last))


@pytest.mark.parametrize("biased", [True, False])
def test_replaced_weights_and_addends_reach_later_layers(biased: bool) -> None:
    other = normal(4, 4, 3, 3, seed=5, scale=0.3)
    (wanted,) = onnx_answers(graph(biased=biased, weights=other, addend=ADDEND), [GIVEN])
    run = LayerwiseRun(graph(biased=biased), [GIVEN[:4], GIVEN[4:]])
    layers = run.layers(lambda node: node.op_type == "Conv")
    first = next(layers)
    first.inputs[1], first.addend = [other], ADDEND
    last = next(layers)
    found = np.concatenate(last.outputs(*zip(*last.moving(), strict=True)))
    assert np.allclose(found, wanted, atol=1e-5)
    assert next(layers, None) is None


def test_the_output_for_the_mean_of_the_inputs_is_the_mean_of_the_outputs() -> None:
    """With padding, too: bias correction relies on it."""
    (layer, _) = LayerwiseRun(graph(biased=True), [GIVEN]).layers(
        lambda node: node.op_type == "Conv"
    )
    mean, all_of_them = layer.outputs([GIVEN.mean(axis=0, keepdims=True)], [GIVEN])
    assert np.allclose(mean[0], all_of_them.mean(axis=0), atol=1e-5)
