"""Predicted change rate: against counts over many drawn images, and its smoothness."""

from __future__ import annotations

import numpy as np
import pytest

from kexport.calibration.change_rate import (
    change_probabilities,
    margins_of,
    predicted_change_rate,
    predicted_top1_drop,
)


def drawn(images: int, classes: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores whose best class leads by a varying margin, and the same with noise."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(images, classes))
    scores[np.arange(images), rng.integers(0, classes, images)] += rng.gamma(2.0, 2.0, images)
    return scores, scores + rng.normal(scale=noise, size=scores.shape)


def test_margins_are_those_of_the_two_best_classes_or_of_a_rival() -> None:
    scores = np.array([[1.0, 4.0, 2.5], [0.0, -1.0, -3.0]], np.float32)
    assert margins_of(scores).tolist() == [1.5, 1.0]
    assert margins_of(scores, np.array([0, 2])).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_the_prediction_is_the_count_over_many_images(noise: float) -> None:
    exact, found = drawn(200_000, 10, noise)
    counted = np.mean(exact.argmax(axis=1) != found.argmax(axis=1))
    assert predicted_change_rate(exact[:5000], found[:5000]) == pytest.approx(counted, rel=0.15)


def test_sixty_images_predict_better_than_they_count() -> None:
    """The spread over draws of sixty images is less than half of that of the counts."""
    predicted, counted = [], []
    for seed in range(100):
        exact, found = drawn(60, 10, 0.2, seed)
        predicted.append(predicted_change_rate(exact, found))
        counted.append(np.mean(exact.argmax(axis=1) != found.argmax(axis=1)))
    assert np.std(predicted) < np.std(counted) / 2
    assert np.mean(predicted) == pytest.approx(np.mean(counted), rel=0.2)


def test_the_prediction_is_proportional_to_small_noise() -> None:
    exact, found = drawn(60, 10, 1e-3)
    once = predicted_change_rate(exact, found)
    twice = predicted_change_rate(exact, exact + 2 * (found - exact))
    assert once > 0
    assert twice == pytest.approx(2 * once, rel=0.01)


def test_large_noise_changes_every_second_image_of_two_classes() -> None:
    exact, found = drawn(400, 2, 1e4)
    assert predicted_change_rate(exact, found) == pytest.approx(0.5, abs=0.02)


def test_without_noise_nothing_changes() -> None:
    exact, _ = drawn(20, 4, 0.1)
    assert predicted_change_rate(exact, exact) == 0.0
    assert change_probabilities(np.zeros(3), np.zeros((3, 4))).tolist() == [0.0] * 3


def test_wrong_answers_that_are_mended_make_up_for_right_ones_that_change() -> None:
    exact, found = drawn(400, 5, 0.3)
    best = exact.argmax(axis=1)
    second = np.argsort(exact, axis=1)[:, -2]
    assert predicted_top1_drop(exact, found, best) == pytest.approx(
        predicted_change_rate(exact, found)
    )
    assert predicted_top1_drop(exact, found, second) == pytest.approx(
        -predicted_change_rate(exact, found)
    )
