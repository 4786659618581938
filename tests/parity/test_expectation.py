"""Samples on a jump of the model: left out where they are few, since they tell nothing."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers
from support import Array

from kexport.outputs import Output
from kexport.parity import samples
from kexport.parity.expectation import expect
from kexport.parity.reference import Expected
from kexport.parity.samples import Samples
from kexport.parity.tolerance import CEILING
from kexport.runtime.compare import spread

ORDINARY = 8


def expected_of(given: Array) -> tuple[Expected, Samples]:
    """Return what is expected of the sign of what a Dense computes from rows of four numbers."""
    x = keras.Input((4,))
    dense = layers.Dense(1, use_bias=False)
    model = keras.Model(x, keras.ops.sign(dense(x)))
    dense.set_weights([np.array([[1], [-1], [0.5], [-0.5]], np.float32)])
    drawn = replace(
        samples.make(model, "none", 0),
        raw={"x": given},
        prepared=(given,),
        ordinary=ORDINARY,
        left_out=(),
    )
    output = Output("y", "tensor", "sign", None)
    return expect(model, drawn, [output], (), "fp32")


def rows(jumps: set[int], count: int = 12) -> Array:
    """Return rows that are far from the jump of the sign, but for those at the places `jumps`."""
    found = np.array([[1, 3, 5, 7], [7, 5, 3, 1]] * count, np.float32)[:count]
    for place in jumps:
        found[place] = 1000
    return found


@pytest.mark.parametrize("jumps", [{9}, {0, 11}, {1, 2}])
def test_few_are_left_out_and_named(jumps: set[int]) -> None:
    given = rows(jumps)
    expected, kept = expected_of(given)
    assert kept.count == len(given) - len(jumps)
    assert kept.ordinary == ORDINARY - sum(place < ORDINARY for place in jumps)
    assert len(expected.outputs["y"]) == kept.count
    np.testing.assert_array_equal(kept.raw["x"], np.delete(given, list(jumps), axis=0))
    assert [why.split(":")[0] for why in kept.left_out] == [f"sample {p}" for p in sorted(jumps)]
    assert expected.gaps["y"] < 1e-3


def test_where_too_many_ordinary_ones_lie_there_only_hard_ones_are_left_out() -> None:
    expected, kept = expected_of(rows({0, 1, 2, 9}))
    assert (kept.count, kept.ordinary) == (11, ORDINARY)
    assert expected.gaps["y"] == CEILING * spread(expected.outputs["y"])


def test_all_are_kept_where_none_lies_there() -> None:
    expected, kept = expected_of(rows(set()))
    assert (kept.count, kept.left_out) == (12, ())
    assert expected.noise["y"] < 1e-6
