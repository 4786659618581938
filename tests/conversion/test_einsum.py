"""keras.ops.einsum inside a layer, which TensorFlow traces."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers, ops
from support import assert_converts, normal, operators, simplified


class Einsum(layers.Layer):
    def __init__(self, equation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.equation = equation

    def call(self, x: Any, y: Any) -> Any:
        return ops.einsum(self.equation, x, y)


def of(equation: str, sizes: dict[str, int], *, opened: str = "") -> tuple[keras.Model, list[Any]]:
    """Return a model of one Einsum whose axes `opened` are open, and its inputs."""
    terms = equation.partition("->")[0].split(",")
    inputs = [
        keras.Input([None if letter in opened else sizes[letter] for letter in term[1:]])
        for term in terms
    ]
    arrays = [normal(*(sizes[letter] for letter in term)) for term in terms]
    return keras.Model(inputs, Einsum(equation)(*inputs)), arrays


SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}


@pytest.mark.parametrize("opened", ["", "be"])
@pytest.mark.parametrize(
    "equation",
    [
        "aecd,abcd->acbe",  # scores of attention, the second tensor first
        "acbe,aecd->abcd",  # values of attention
        "abd,aed->abe",
        "abd,ade->aeb",
        "abcd,aec->abde",  # two letters of its own beside a batch: no MatMul
        "abc,acb->ab",  # nothing of its own
        "abc,aec->abec",  # nothing summed
        "abc,ade->abe",  # a letter of one tensor alone is summed
    ],
)
def test_einsum_of_two_tensors_is_equal(equation: str, opened: str) -> None:
    model, arrays = of(equation, SIZES, opened=opened)
    assert_converts(model, *arrays)


class Projection(layers.Layer):
    """An Einsum with a weight."""

    def __init__(self, equation: str, shape: tuple[int, ...], *, first: bool = False) -> None:
        super().__init__()
        self.equation, self.first = equation, first
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform")
        self.built = True

    def call(self, x: Any) -> Any:
        given = (self.kernel, x) if self.first else (x, self.kernel)
        return ops.einsum(self.equation, *given)


@pytest.mark.parametrize(
    ("equation", "shape", "first"),
    [
        ("abcd,de->abce", (5, 6), False),
        ("abcd,ed->abec", (6, 5), False),
        ("de,abcd->abce", (5, 6), True),
        ("abcd,cde->abe", (4, 5, 6), False),
        ("abcd,dbe->abce", (5, 3, 6), False),
    ],
)
def test_einsum_with_a_weight_is_equal(equation: str, shape: tuple[int, ...], first: bool) -> None:
    x = keras.Input((3, None, 5) if "cde" not in equation else (3, 4, 5))
    model = keras.Model(x, Projection(equation, shape, first=first)(x))
    assert_converts(model, normal(2, 3, 4, 5))


def test_attention_of_open_batch_and_given_length_is_as_one_would_write_it() -> None:
    x = keras.Input((6, 8))
    model = keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x))
    assert_converts(model, normal(2, 6, 8))
    assert operators(simplified(model)) == {
        "MatMul": 6,
        "Add": 4,
        "Reshape": 4,
        "Transpose": 4,
        "Mul": 1,
        "Softmax": 1,
    }
