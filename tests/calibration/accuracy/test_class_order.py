"""Another order of classes is found where one fits better, and only there."""

import numpy as np
import pytest

from kexport.calibration.accuracy.class_order import OtherOrder, other_order


def answers(order: list[int], right: float, each: int = 30, seed: int = 0):
    """Return predictions of a model that is right on a share of its images, and labels."""
    rng = np.random.default_rng(seed)
    classes = len(order)
    labels = rng.permutation(np.repeat(np.arange(classes), each))
    wrong = rng.random(len(labels)) >= right
    predicted = np.where(wrong, rng.integers(0, classes, len(labels)), np.asarray(order)[labels])
    return predicted, labels, classes


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [1, 2, 3, 4, 0], [4, 3, 2, 1, 0]])
def test_a_permutation_is_found(order: list[int]) -> None:
    predicted, labels, classes = answers(order, 0.95)
    found = other_order(predicted, labels, classes)
    assert found is not None
    assert found.moved == {label: other for label, other in enumerate(order) if label != other}
    assert found.is_clear
    assert found.before == pytest.approx(np.mean(predicted == labels))
    assert found.after == pytest.approx(np.mean(predicted == np.asarray(order)[labels]))


def test_a_model_that_is_often_wrong_is_doubted_only() -> None:
    found = other_order(*answers([1, 0], 0.3, each=200))
    assert isinstance(found, OtherOrder)
    assert not found.is_clear


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("right", [0.0, 0.3, 0.97])
def test_the_right_order_is_kept(right: float, seed: int) -> None:
    assert other_order(*answers([0, 1, 2, 3, 4], right, seed=seed)) is None


def test_two_classes_that_are_taken_for_one_are_no_other_order() -> None:
    predicted, labels, classes = answers([1, 1, 2], 1.0)
    assert other_order(predicted, labels, classes) is None


def test_few_images_of_many_classes_say_nothing() -> None:
    assert other_order(*answers([*range(1, 100), 0], 1.0, each=4)) is None


def test_classes_without_images_may_be_taken() -> None:
    """Three of five classes have images, and the model calls them by the next number."""
    predicted, labels, _ = answers([1, 2, 3], 1.0)
    found = other_order(predicted, labels, 5)
    assert found is not None
    assert found.moved == {0: 1, 1: 2, 2: 3}
