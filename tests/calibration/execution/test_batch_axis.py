"""Batch axis: which graphs compute the same for any batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import Sketch, normal

from kexport.calibration.execution.batch_axis import is_samplewise
from kexport.calibration.execution.session import Batches


def image(s: Sketch) -> Any:
    return s.input("x", [1, 4, 6, 6])


def conv(s: Sketch) -> Any:
    return s.op("Relu", s.op("Conv", image(s), s.constant("w", normal(3, 4, 3, 3))))


def reshape(s: Sketch) -> Any:
    return s.op("Reshape", image(s), s.constant("s", np.array([1, 144]), np.int64))


def transpose(order: list[int]) -> Any:
    return lambda s: s.op("Transpose", image(s), perm=order)


def add(shape: tuple[int, ...]) -> Any:
    return lambda s: s.op("Add", image(s), s.constant("c", normal(*shape)))


def softmax(axis: int) -> Any:
    return lambda s: s.op("Softmax", image(s), axis=axis)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (conv, True),
        (reshape, False),
        (transpose([0, 2, 3, 1]), True),
        (transpose([1, 0, 2, 3]), False),
        (add((4, 1, 1)), True),
        (add((1, 4, 1, 1)), True),
        (softmax(1), True),
        (softmax(0), False),
    ],
)
def test_samples_must_stay_apart(build: Any, wanted: bool) -> None:
    s = Sketch()
    model = s.model(build(s))
    assert is_samplewise(model) is wanted
    images = np.zeros((10, 4, 6, 6), np.float32)
    assert len(Batches(model, images)) == 10
    assert len(Batches(model, images, 4, free=True)) == (3 if wanted else 10)
