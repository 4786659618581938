"""ONNX Runtime sessions: optimization does not change the results."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, far, normal

from kexport.calibration.execution.session import open_session
from kexport.passes.convert_float16 import convert_float16


def between_pairs() -> ir.Model:
    """Build two convolutions with biases, and QDQ pairs on their inputs and weights."""
    s = Sketch(19)

    def through(x: ir.Value, name: str) -> ir.Value:
        step, zero = s.constant(f"{name}.scale", 2.0**-9), s.constant(f"{name}.zero", 0, np.int8)
        integers = s.op("QuantizeLinear", x, step, zero)
        return s.op("DequantizeLinear", integers, step, zero)

    def conv(x: ir.Value, name: str, seed: int) -> ir.Value:
        levels = np.clip(normal(8, 8, 1, 1, seed=seed, scale=40), -127, 127).astype(np.int8)
        step = s.constant(f"{name}.scale", [2.0**-16] * 8)
        zero = s.constant(f"{name}.zero", np.zeros(8), np.int8)
        weights = s.op("DequantizeLinear", s.constant(name, levels, np.int8), step, zero, axis=0)
        return s.op("Conv", x, weights, s.constant(f"{name}.bias", normal(8, seed=seed + 1)))

    x = conv(through(s.input("x", [1, 8, 4, 4]), "x"), "v", 1)
    return s.model(conv(through(x, "y"), "w", 3))


@pytest.mark.parametrize("half", [False, True])
def test_an_optimized_session_computes_the_same(half: bool) -> None:
    model = between_pairs()
    if half:
        model = convert_float16(frozenset())(model)
    feeds = {"x": normal(1, 8, 4, 4, seed=9)}
    plain, optimised = (
        open_session(model, optimised=optimised).run(None, feeds)[0] for optimised in (False, True)
    )
    assert far(optimised, plain) < 2e-2


@pytest.mark.parametrize("half", [False, True])
def test_qdq_pairs_with_float16_scales_are_not_fused(half: bool) -> None:
    model = between_pairs()
    session = open_session(convert_float16(frozenset())(model) if half else model)
    options = session.get_session_options()
    name = "session.disable_quant_qdq"
    assert _option(options, name) == half


def _option(options: object, name: str) -> bool:
    try:
        return options.get_session_config_entry(name) == "1"  # type: ignore[attr-defined]
    except RuntimeError:
        return False
