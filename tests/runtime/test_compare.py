import numpy as np
import pytest

from kexport.runtime.compare import (
    Difference,
    differences,
    logits_of,
    max_abs,
    softmax,
    spread_error,
    top1_agreement,
)

REFERENCE = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)


def test_spread_error_is_the_largest_difference_over_the_standard_deviation():
    candidate = REFERENCE + np.array([[0, 0.5], [-0.25, 0]], np.float32)
    assert max_abs(candidate, REFERENCE) == 0.5
    assert spread_error(candidate, REFERENCE) == pytest.approx(0.5 / np.sqrt(3.5))


def test_spread_error_does_not_depend_on_the_scale():
    candidate = REFERENCE + np.array([[0, 0.5], [-0.25, 0]], np.float32)
    scaled = spread_error(candidate * 1e-3, REFERENCE * 1e-3)
    assert scaled == pytest.approx(spread_error(candidate, REFERENCE), rel=1e-5)


def test_differences_of_unsigned_integers_do_not_wrap():
    assert max_abs(np.array([0], np.uint8), np.array([1], np.uint8)) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_differences_to_values_that_are_not_finite_are_infinite(value: float, side: int):
    pair = [REFERENCE.copy(), REFERENCE.copy()]
    pair[side][0, 0] = value
    assert max_abs(*pair) == np.inf
    assert spread_error(*pair) == np.inf


def test_differences_between_shapes_are_infinite():
    assert spread_error(REFERENCE[:1], REFERENCE) == np.inf
    assert top1_agreement(REFERENCE[:1], REFERENCE) == 0.0


def test_constant_references():
    flat = np.full((2, 3), 7.0, np.float32)
    assert spread_error(flat, flat) == 0.0
    assert spread_error(flat + 0.7, flat) == pytest.approx(0.1, rel=1e-6)
    zeros = np.zeros((2, 3), np.float32)
    assert spread_error(zeros + 0.25, zeros) == 0.25


def test_a_constant_has_no_spread_though_its_mean_is_rounded():
    flat = np.full(6, 0.1)
    assert flat.std() > 0
    assert spread_error(flat + 0.01, flat) == pytest.approx(0.1)


def test_empty_arrays_do_not_differ():
    assert spread_error(np.empty((0, 5)), np.empty((0, 5))) == 0.0


def test_logits_are_recovered_from_probabilities_up_to_a_constant():
    logits = np.random.default_rng(0).normal(0, 5, (4, 10))
    centred = logits - logits.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(logits_of(softmax(logits)), centred, atol=1e-12)
    np.testing.assert_allclose(logits_of(softmax(logits).astype(np.float32)), centred, atol=1e-6)


@pytest.mark.parametrize("underflowed", [0.0, 1e-45, 2e-38])
def test_probabilities_that_may_have_underflowed_count_as_equal(underflowed):
    found = logits_of(np.array([[1.0, underflowed]], np.float32))
    half = 50 * np.log(2)
    np.testing.assert_allclose(found, [[half, -half]])


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4, -1e4]])), [[0.5, 0.5, 0.0]])


def test_top1_agreement_is_a_share_of_rows():
    candidate = np.array([[2.0, 1.0], [3.0, 6.0]], np.float32)
    assert top1_agreement(candidate, REFERENCE) == 0.5


def test_probabilities_are_measured_twice():
    reference = softmax(np.array([[0.0, 1, 2], [3, 1, 0]])).astype(np.float32)
    candidate = softmax(np.array([[0.0, 1, 2], [3, 1.25, 0]])).astype(np.float32)
    shown, inner = differences({"p": "probabilities"}, {"p": candidate}, {"p": reference})
    assert (shown.name, inner.name) == ("p", "logits")
    assert shown.max_abs == pytest.approx(np.abs(candidate - reference).max())
    assert inner.max_abs == pytest.approx(0.25 * 2 / 3, rel=1e-5)
    assert shown.top1_agreement == inner.top1_agreement == 1.0


def test_logits_show_errors_that_a_softmax_hides():
    """A confident score moves by 1e-9 of its spread while the losing logits are wrong by half."""
    logits = np.array([[30.0, 0, 1], [1, 30.0, 0]])
    wrong = np.array([[30.0, 1, 0], [0, 30.0, 1]])
    rows = differences({"p": "probabilities"}, {"p": softmax(wrong)}, {"p": softmax(logits)})
    assert rows[0].error < 1e-9
    assert rows[1].error > 0.05


def test_names_of_the_second_measure():
    array = softmax(np.array([[0.0, 1.0]]))
    both = {"a": "probabilities", "b": "probabilities"}
    names = [
        row.name
        for row in differences(both, dict.fromkeys(both, array), dict.fromkeys(both, array))
    ]
    assert names == ["a", "logits", "b", "b.logits"]
    own = {"probabilities": "probabilities", "logits": "logits"}
    names = [
        row.name for row in differences(own, dict.fromkeys(own, array), dict.fromkeys(own, array))
    ]
    assert names == ["probabilities", "probabilities.logits", "logits"]


def test_features_have_no_top1_agreement():
    (row,) = differences({"f": "features"}, {"f": REFERENCE}, {"f": REFERENCE})
    assert row == Difference("f", 0.0, 0.0, None)


def test_a_single_probability_has_no_logits():
    array = np.array([[0.3], [0.7]])
    rows = differences({"p": "probabilities"}, {"p": array}, {"p": array})
    assert rows == (Difference("p", 0.0, 0.0, None),)
