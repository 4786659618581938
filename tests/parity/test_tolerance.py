"""Tolerances: floors, factors and ceiling, and how they pass through a softmax."""

from __future__ import annotations

import numpy as np
import pytest

from kexport.parity.tolerance import CEILING, FACTORS, FLOORS, allowed_gap, relative
from kexport.runtime.compare import logits_of, softmax, spread_error

VALUES = np.random.default_rng(0).normal(3, 2, (50, 40)).astype(np.float32)
STD = float(VALUES.astype(np.float64).std())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("noise", "share"),
    [
        (0.0, FLOORS),
        (1e-9, FLOORS),
        (3e-2, {name: factor * 3e-2 / STD for name, factor in FACTORS.items()}),
        (100.0, dict.fromkeys(FLOORS, CEILING)),
    ],
)
def test_what_is_allowed(precision: str, noise: float, share: dict[str, float]) -> None:
    gap = allowed_gap(VALUES, noise, precision)
    assert gap / STD == pytest.approx(share[precision], rel=1e-9)
    assert relative("features", VALUES, gap) == pytest.approx(gap / STD)


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_no_change_of_logits_within_the_gap_is_refused(scale: float) -> None:
    """Signs are drawn, and the worst case of the bound is tried: half up, half down."""
    rng = np.random.default_rng(1)
    logits, gap = VALUES * scale, 1e-3
    expected = softmax(logits).astype(np.float32)
    allowed = relative("probabilities", expected, gap) * expected.astype(np.float64).std()
    for _ in range(20):
        moved = logits + gap * rng.choice([-1, 1], logits.shape)
        assert np.abs(softmax(moved) - expected).max() <= allowed


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_no_change_of_a_sigmoids_logits_within_the_gap_is_refused(scale: float) -> None:
    rng = np.random.default_rng(1)
    logits, gap = VALUES.astype(np.float64) * scale, 1e-3
    expected = (1 / (1 + np.exp(-logits))).astype(np.float32)
    allowed = relative("sigmoid", expected, gap) * expected.astype(np.float64).std()
    moved = 1 / (1 + np.exp(-logits - gap * rng.choice([-1, 1], logits.shape)))
    assert 0.2 * gap / 4 < np.abs(moved - expected).max() <= allowed


@pytest.mark.parametrize("value", [1.0, -0.1, 3e4])
def test_a_constant_output_is_held_to_what_float32_can_tell(value: float) -> None:
    """Two units in the last place are rounding, and a millionth is not."""
    expected = np.full((3, 7), value, np.float32)
    allowed = relative("features", expected, allowed_gap(expected, 0.0, "fp32"))
    two = expected + 2 * np.spacing(expected)
    assert 0 < spread_error(two, expected) <= allowed < spread_error(expected * 1.000001, expected)


def test_zeros_must_be_matched_exactly() -> None:
    zeros = np.zeros((3, 4), np.float32)
    assert relative("features", zeros, allowed_gap(zeros, 0.0, "fp32")) == 0


def test_equal_classes_may_differ_by_the_rounding_of_a_softmax() -> None:
    expected = np.full((3, 7), 1 / 7, np.float32)
    allowed = relative("log-probabilities", expected, 0.0)
    off = expected.copy()
    off[0, 0] += np.spacing(off[0, 0])
    assert 0 < spread_error(logits_of(off), logits_of(expected)) <= allowed < 1e-6
