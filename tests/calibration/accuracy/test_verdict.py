"""Verdicts: three outcomes, how often each is right, and the number of images that would decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kexport.calibration.accuracy.criterion import Criterion
from kexport.calibration.metrics import Quality

EXACT = Quality(np.inf, 1.0, images=50, predicted_drop=0.0)


def outcome(
    lost: int, images: int, max_drop: float, gained: int = 0, measure: Any = "agreement"
) -> Any:
    quality = Quality(30.0, images=images, lost=lost, gained=gained, predicted_drop=0.0)
    verdict = Criterion(measure, max_drop, EXACT).verdict(quality)
    assert verdict is not None
    assert verdict.drop == (lost - gained) / images
    assert verdict.interval.low <= verdict.drop <= verdict.interval.high
    return verdict


@pytest.mark.parametrize("measure", ["agreement", "labels"])
@pytest.mark.parametrize(
    ("lost", "images", "max_drop", "wanted"),
    [
        (0, 50, 0.01, "undecided"),
        (3, 50, 0.01, "undecided"),
        (0, 500, 0.01, "passed"),
        (5, 500, 0.01, "undecided"),
        (5, 500, 0.05, "passed"),
        (25, 500, 0.01, "refused"),
        (25, 50, 0.05, "refused"),
        (0, 16, 1.0, "passed"),
    ],
)
def test_the_whole_interval_decides(
    measure: Any, lost: int, images: int, max_drop: float, wanted: str
) -> None:
    assert outcome(lost, images, max_drop, measure=measure).outcome == wanted


def test_gains_make_up_for_losses_with_labels() -> None:
    assert outcome(25, 500, 0.01, measure="labels").outcome == "refused"
    assert outcome(25, 500, 0.01, gained=25, measure="labels").outcome == "undecided"


@pytest.mark.parametrize(("lost", "images"), [(0, 50), (1, 50), (3, 50), (10, 500)])
def test_the_stated_number_of_images_decides_and_no_smaller_one(lost: int, images: int) -> None:
    found = outcome(lost, images, 0.01)
    count = found.images_to_decide
    assert found.outcome == "undecided"
    rate, decided = lost / images, []
    for number in (count - 1, count):
        quality = Quality(30.0, images=number, lost=rate * number)  # type: ignore[arg-type]
        verdict = Criterion("agreement", 0.01, EXACT).verdict(quality)
        assert verdict is not None
        decided.append(verdict.outcome != "undecided")
    assert decided == [False, True]


def test_no_number_of_images_decides_at_the_limit_itself() -> None:
    assert outcome(1, 100, 0.01).images_to_decide is None


def refused(rate: float, images: int, max_drop: float, draws: int = 10_000) -> float:
    """Simulate models with a true drop, and return the share that is refused."""
    counts = np.random.default_rng(0).binomial(images, rate, draws)
    found, times = np.unique(counts, return_counts=True)
    wrong = [outcome(int(lost), images, max_drop).outcome == "refused" for lost in found]
    return float(times @ wrong) / draws


@pytest.mark.parametrize("max_drop", [0.01, 0.02, 0.05])
def test_a_model_well_within_the_limit_is_never_refused(max_drop: float) -> None:
    assert refused(max_drop / 10, 50, max_drop) == 0.0


@pytest.mark.parametrize("max_drop", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("images", [50, 100, 500])
def test_a_model_at_the_limit_is_seldom_refused(images: int, max_drop: float) -> None:
    assert refused(max_drop, images, max_drop) < 0.0125 + 0.003


@pytest.mark.parametrize(("max_drop", "least"), [(0.01, 0.8), (0.02, 0.98), (0.05, 1.0)])
def test_a_model_of_three_times_the_limit_is_refused(max_drop: float, least: float) -> None:
    """15 of 500 are few: at a limit of 1 % every sixth such model is undecided, and says so."""
    assert refused(3 * max_drop, 500, max_drop) >= least


def test_noise_is_judged_as_it_is() -> None:
    for sqnr, wanted in ((20.0, "passed"), (19.9, "refused")):
        verdict = Criterion("noise", 0.01, EXACT).verdict(Quality(sqnr))
        assert verdict is not None
        assert verdict.outcome == wanted
    assert Criterion("nothing", 0.01, EXACT).verdict(Quality(-5.0)) is None
