"""The gate of tasks other than classify: passed, undecided and refused by the interval."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kexport.calibration.accuracy.refusal import accuracy_refusal
from kexport.calibration.accuracy.task_gate import TaskCriterion
from kexport.calibration.metrics import Quality
from kexport.measures.measure import Measured
from kexport.measures.names import ALLOWED, LOST

NOTHING = Quality(30.0, images=100, measured=Measured(0.9, 0.0, (0.0, 0.0), 0.0))


def quality(drop: float, low: float, high: float) -> Quality:
    return Quality(20.0, images=100, measured=Measured(0.9 - drop, drop, (low, high), drop))


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [((-0.01, 0.009), "passed"), ((0.001, 0.04), "undecided"), ((0.011, 0.04), "refused")],
)
def test_the_whole_interval_decides(ends: tuple[float, float], outcome: str) -> None:
    verdict = TaskCriterion("mean_iou", 0.01, NOTHING).verdict(quality(0.005, *ends))
    assert verdict.outcome == outcome
    assert tuple(verdict.interval) == pytest.approx(ends)


def test_the_images_that_would_decide_narrow_the_interval_by_their_root() -> None:
    """A loss of 0.5 % up to 2.5 % is within 1 % if the upper part is a quarter: 16 times 100."""
    verdict = TaskCriterion("mean_iou", 0.01, NOTHING).verdict(quality(0.005, 0.0, 0.025))
    assert verdict.images_to_decide == 1600


def test_a_loss_that_is_predicted_within_the_limit_needs_no_float_nodes() -> None:
    """One image of fifty is 2 %, and may be chance."""
    chance = Quality(30.0, images=50, measured=Measured(0.88, 0.02, (-0.02, 0.09), 0.004))
    assert TaskCriterion("f1", 0.01, NOTHING).has_margin(chance)


def test_a_loss_on_the_images_beyond_the_limit_leaves_no_margin() -> None:
    criterion = TaskCriterion("f1", 0.01, NOTHING)
    assert criterion.has_margin(quality(0.01, -0.05, 0.05))
    assert not criterion.has_margin(quality(0.02, -0.05, 0.05))
    assert criterion.is_met(quality(0.02, -0.05, 0.05))


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("mean_iou", "5.0% of the mean IoU is lost (95% interval 3.0% to 7.0%), more than"),
        ("mae", "5.0% of the numbers' spread is added to the mean absolute error"),
    ],
)
def test_a_refusal_says_what_is_lost(measure: str, said: str) -> None:
    bad = quality(0.05, 0.03, 0.07)
    alternative: Any = SimpleNamespace(
        candidate=SimpleNamespace(quality=bad, model=None), int8_share=0.75
    )
    refused: Any = SimpleNamespace(
        quality=bad, alternatives=(alternative,), steps=[SimpleNamespace(name="quantised")]
    )
    criterion = TaskCriterion(measure, 0.01, NOTHING)
    error = accuracy_refusal(criterion, refused, 0.5, lambda model: None)
    assert said in str(error)
    assert any("max_drop=0.05" in line for line in error.details)


def test_every_measure_that_can_decide_has_words() -> None:
    assert set(LOST) == set(ALLOWED) - {"nothing"}
