"""Random models: a right graph is never refused, a planted fault always is.

bench/proof.py runs ten thousand of them; docs/parity.md has its figures.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from layer_examples import EXAMPLES
from planted_faults import FAULTS
from random_models import sharpness
from random_models.build import FEATURES
from random_models.draw import draw
from random_models.trial import Trial, try_seed
from support import keras_answers

from kexport.conversion.rules import LAYERS

STRIDE = 7
"""Successive seeds have neighbouring kinds of layers; these seeds have all families."""

SMALL = "one weight 1 % off"
"""A fault that may change the outputs by less than the tolerance: docs/parity.md has the sharpness
of the proof."""

WALKED = {"InputLayer"}


def test_they_cover_every_kind_of_layer() -> None:
    assert set(EXAMPLES) - WALKED <= set(FEATURES)
    assert {kind.__name__ for kind in LAYERS} - WALKED <= set(FEATURES)


def test_a_seed_gives_one_model() -> None:
    first, second = draw(3), draw(3)
    given = list(first.samples.prepared)
    assert [layer.name for layer in first.model.layers] == [
        layer.name for layer in second.model.layers
    ]
    for one, other in zip(
        keras_answers(first.model, given), keras_answers(second.model, given), strict=True
    ):
        assert np.array_equal(one, other)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return [try_seed(seed, 2) for seed in range(0, 40 * STRIDE, STRIDE)]


@pytest.mark.slow
def test_no_right_graph_is_refused(trials: list[Trial]) -> None:
    refused = {trial.drawn.seed: trial.right for trial in trials if not trial.right.passed}
    assert refused == {}
    assert len({trial.drawn.feature for trial in trials}) == 40


ONCE_REFUSED = {
    750: "zero, the jump of a sign",
    2329: "a gate of a GRU near 1",
    2846: "a Rescaling of one number in an array",
    3361: "faint gates of a ConvLSTM",
    5146: "a GroupNormalization of equal numbers",
    5365: "one open element of a saturated tanh",
    7124: "the floor of a SiLU that vanishes",
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", ONCE_REFUSED)
def test_right_graphs_that_were_refused(seed: int) -> None:
    assert try_seed(seed, 0).right.passed


@pytest.mark.slow
def test_no_fault_is_accepted(trials: list[Trial]) -> None:
    outcomes = Counter(planted.outcome for trial in trials for planted in trial.planted)
    accepted = [
        p for trial in trials for p in trial.planted if p.outcome == "accepted" and p.name != SMALL
    ]
    assert accepted == []
    assert outcomes["refused"] >= 60


def test_kinds_of_faults_have_names_of_their_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) > 60


@pytest.mark.slow
def test_the_limit_of_a_weight_is_where_the_verdict_changes(trials: list[Trial]) -> None:
    found = []
    for trial in trials[:12]:
        for place in list(sharpness.places(trial.subject.graph, trial.drawn.model))[:1]:
            kernel = sharpness.Kernel(trial.subject, place)
            limit = kernel.limit()
            if limit is not None and limit > 2 * sharpness.SMALLEST:
                found.append(limit)
                assert kernel.is_refused(place.kernel * np.float32(1 + limit))
                assert not kernel.is_refused(place.kernel * np.float32(1 + limit / 1.1))
    assert len(found) > 4
