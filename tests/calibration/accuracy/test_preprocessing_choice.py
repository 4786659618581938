"""The preprocessing with the best accuracy is chosen, if it is better for sure."""

import numpy as np

from kexport.calibration.accuracy.preprocessing_choice import choose


def right(count: int, of: int = 100) -> np.ndarray:
    return np.arange(of) < count


def test_a_clear_choice() -> None:
    found = choose({"none": right(40), "tf": right(97), "torch": right(80)})
    assert (found.best, found.rivals) == ("tf", ())
    assert list(found.top1.items()) == [("tf", 0.97), ("torch", 0.8), ("none", 0.4)]


def test_a_few_images_more_decide_nothing() -> None:
    found = choose({"none": right(40), "tf": right(97), "torch": right(95)})
    assert (found.best, found.rivals) == ("tf", ("torch",))


def test_equal_ones_are_rivals() -> None:
    assert choose({"tf": right(97), "torch": right(97)}).rivals == ("torch",)


def test_the_difference_is_paired() -> None:
    """Of the same shares, those of the same images decide, and those of others do not."""
    better = right(60)
    nested, apart = right(50), np.arange(100) >= 50
    assert choose({"a": better, "b": nested}).rivals == ()
    assert choose({"a": better, "b": apart}).rivals == ("b",)


def test_more_candidates_need_more_images() -> None:
    pair = {"a": right(100), "b": right(94)}
    assert choose(pair).rivals == ()
    assert choose({**pair, **{f"c{i}": right(0) for i in range(4)}}).rivals == ("b",)
