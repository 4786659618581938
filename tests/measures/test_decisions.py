"""F1, the area under the ROC curve and average precision, against scikit-learn and papers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from kexport.calibration.accuracy.intervals import difference_interval
from kexport.errors import BadArgument
from kexport.measures.decisions import Decisions
from kexport.measures.measure import compare
from kexport.measures.ranking import area_under_roc, average_precision
from kexport.runtime.classes import decide, labels_above

RNG = np.random.default_rng(3)


def test_the_example_of_scikit_learn() -> None:
    """scores [0.1, 0.4, 0.35, 0.8] of [0, 0, 1, 1] have the area 0.75, and the precision 0.83."""
    scores, truth = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], bool)
    assert area_under_roc(scores, truth) == 0.75
    assert average_precision(scores, truth) == pytest.approx(0.8333, abs=1e-4)


def test_equal_scores_are_as_in_scikit_learn() -> None:
    scores, truth = RNG.integers(0, 5, 60) / 5, RNG.random(60) < 0.4
    assert area_under_roc(scores, truth) == pytest.approx(metrics.roc_auc_score(truth, scores))
    expected = metrics.average_precision_score(truth, scores)
    assert average_precision(scores, truth) == pytest.approx(expected)


def test_yes_or_no() -> None:
    logits, truth = RNG.normal(size=(40, 1)), RNG.random((40, 1)) < 0.3
    measure = Decisions(truth, 0.6)
    kept = [measure.keep(decide(row, True, None, 0.6), i) for i, row in enumerate(logits)]
    scores = 1 / (1 + np.exp(-logits[:, 0]))
    found = measure.summary(kept)
    assert list(found) == ["f1", "auc", "accuracy"]
    assert found["f1"] == pytest.approx(metrics.f1_score(truth[:, 0], scores >= 0.6))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth[:, 0], scores))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth[:, 0], scores >= 0.6))


def test_labels() -> None:
    """A label that no image has does not count."""
    scores, truth = RNG.random((50, 4)), RNG.random((50, 4)) < 0.4
    truth[:, 2] = False
    measure = Decisions(truth, 0.5)
    kept = [measure.keep(labels_above(row, False, None, 0.0), i) for i, row in enumerate(scores)]
    shown = [0, 1, 3]
    f1 = metrics.f1_score(truth[:, shown], scores[:, shown] >= 0.5, average="macro")
    precision = metrics.average_precision_score(truth[:, shown], scores[:, shown])
    assert measure.summary(kept) == pytest.approx({"mean_f1": f1, "map": precision})


def test_images_of_one_answer_are_refused() -> None:
    measure = Decisions(np.ones((3, 1), bool), 0.5)
    kept = [measure.keep(decide(np.ones(1), False, None, 0.5), i) for i in range(3)]
    with pytest.raises(BadArgument, match="all have the same truth"):
        measure.summary(kept)


@pytest.mark.parametrize("count", [50, 500])
def test_no_change_is_no_proof(count: int) -> None:
    """Few images without any change leave as much open as they do for accuracy, within a third.

    With half of the images positive and all right, a share p of other answers costs about p of F1.
    """
    truth = (np.arange(count) % 2 == 0)[:, np.newaxis]
    measure = Decisions(truth, 0.5)
    kept = [measure.keep(decide(row, False, None, 0.5), i) for i, row in enumerate(1.0 * truth)]
    found = compare(measure, kept, kept, 0.975)
    exact = difference_interval(0, 0, count, 0.975)
    assert found.drop == 0
    assert found.interval[1] == pytest.approx(exact.high, rel=0.34)
    assert found.interval[0] == pytest.approx(exact.low, rel=0.34)


def test_the_interval_of_a_loss_covers_it() -> None:
    """Of 100 data sets, 95 % intervals cover the true loss of F1 in 95 %, within three errors."""
    rng = np.random.default_rng(8)
    wrong = {True: (0.10, 0.16), False: (0.05, 0.07)}

    def drawn(count: int) -> tuple[Decisions, list, list]:
        truth = rng.random((count, 1)) < 0.4
        draws = rng.random((count, 1))
        measure = Decisions(truth, 0.5)
        pair = []
        for which in (0, 1):
            missed = draws < np.where(truth, wrong[True][which], wrong[False][which])
            says = (truth ^ missed).astype(float)
            pair.append(
                [measure.keep(decide(row, False, None, 0.5), i) for i, row in enumerate(says)]
            )
        return measure, *pair

    expected = []
    for which in (0, 1):
        hits, alarms = 0.4 * (1 - wrong[True][which]), 0.6 * wrong[False][which]
        expected.append(2 * hits / (hits + alarms + 0.4))
    drop = expected[0] - expected[1]
    covered = 0
    for _ in range(100):
        measure, keras, other = drawn(150)
        low, high = compare(measure, keras, other, 0.95).interval
        covered += low <= drop <= high
    assert abs(covered / 100 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 100)


@pytest.mark.parametrize("noise", [0.05, 0.8])
def test_the_predicted_loss_is_the_mean_over_noise(noise: float) -> None:
    """Keras is right far from the threshold, so that noise costs more than it gains."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0.5, 1.5, (150, 2))
    truth = logits + rng.normal(0, 0.3, logits.shape) > 0
    measure = Decisions(truth, 0.5)

    def answers(found: np.ndarray) -> list:
        return [measure.keep(labels_above(row, True, None, 0.0), i) for i, row in enumerate(found)]

    keras = answers(logits)
    noisy = [answers(logits + rng.normal(0, noise, logits.shape)) for _ in range(60)]
    losses = [measure.drops(keras, one, np.ones((1, 150)))[0] for one in noisy]
    predicted = [measure.predicted_drop(keras, one) for one in noisy]
    error = np.std(losses) / np.sqrt(60)
    assert np.mean(predicted) == pytest.approx(np.mean(losses), abs=3 * error + 0.002)
    assert np.std(predicted) < 0.5 * np.std(losses)
    assert measure.predicted_drop(keras, keras) == 0
