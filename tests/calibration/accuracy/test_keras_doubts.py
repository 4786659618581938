"""Keras' accuracy on labelled images, and doubts about it."""

import numpy as np
import pytest

from kexport.calibration.accuracy.intervals import share_interval
from kexport.calibration.accuracy.keras_doubts import measure

Array = np.ndarray


def scores_of(predicted: Array, sureness: float, classes: int = 4) -> Array:
    rest = (1 - sureness) / (classes - 1)
    return np.where(np.eye(classes, dtype=bool)[predicted], sureness, rest)


def predictions(right: int, count: int = 200, classes: int = 4) -> tuple[Array, Array]:
    labels = np.arange(count) % classes
    predicted = np.where(np.arange(count) < right, labels, (labels + 1) % classes)
    return predicted, labels


def test_what_is_measured() -> None:
    predicted, labels = predictions(150)
    found = measure(scores_of(predicted, 0.9), labels)
    assert (found.images, found.right, found.top1) == (200, 150, 0.75)
    assert found.interval == share_interval(150, 200, 0.95)
    assert found.sureness == pytest.approx(0.9)
    assert found.by_chance == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("right", "sureness", "doubt"),
    [
        (196, 0.99, None),
        (160, 0.9, None),
        (110, 0.95, "too sure"),
        (110, 0.6, None),
        (52, 0.9, "chance"),
        (52, 0.3, "chance"),
    ],
)
def test_doubts(right: int, sureness: float, doubt: str | None) -> None:
    predicted, labels = predictions(right)
    assert measure(scores_of(predicted, sureness), labels).doubt == doubt


def test_answering_the_same_class_always_is_chance_however_frequent_it_is() -> None:
    labels = np.repeat([0, 1], [190, 10])
    found = measure(scores_of(np.zeros(200, int), 0.95, 2), labels)
    assert found.by_chance == pytest.approx(found.top1)
    assert found.doubt == "chance"
