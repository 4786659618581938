"""computed_ahead: the items of an iterator in order, one of them computed in advance."""

import threading
from collections.abc import Iterator

import pytest

from kexport.calibration.execution.ahead import computed_ahead


def test_items_come_in_order() -> None:
    assert list(computed_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(computed_ahead(iter([]))) == []


def test_the_next_item_is_computed_while_the_caller_has_one() -> None:
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    found = computed_ahead(items())
    assert next(found) == 1
    assert second.wait(timeout=10)
    assert next(found) == 2


def test_an_error_reaches_the_caller_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("second")

    found = computed_ahead(items())
    assert next(found) == 1
    with pytest.raises(KeyError, match="second"):
        next(found)
