"""Preprocessing as users give it: a mode or numbers."""

from typing import Any

import numpy as np
import pytest

from kexport.errors import BadArgument
from kexport.options.application import Recipe
from kexport.options.preprocessing import Custom, described, fit
from kexport.source.preprocessing import prepare


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, None),
        ({"preprocess": "none"}, "none"),
        ({"preprocess": "unit"}, "unit"),
        ({"preprocess": "auto"}, "auto"),
        ({"scale": 0.5}, Custom(scale=(0.5,))),
        ({"mean": 0.0}, Custom()),
        ({"std": (1, 2, 3)}, Custom(std=(1.0, 2.0, 3.0))),
        ({"bgr": True}, Custom(bgr=True)),
        (
            {"scale": [0.5], "mean": [1, 2, 3], "std": 4.0, "bgr": True},
            Custom((0.5,), (1.0, 2.0, 3.0), (4.0,), True),
        ),
    ],
)
def test_what_is_meant(said: dict[str, Any], meant: Any) -> None:
    assert Recipe(**said).preprocessing() == meant


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"preprocess": "tf", "std": 2.0}, "`recipe.std` makes a preprocessing of its own"),
        ({"preprocess": "norm"}, "no preprocessing is named 'norm'"),
        ({"scale": 0}, "`recipe.scale` must not be 0"),
        ({"std": (1.0, 0.0, 1.0)}, "`recipe.std` must not be 0"),
        ({"mean": (1.0, 2.0)}, r"`recipe.mean` must be one number or three, not \[1, 2\]"),
        ({"mean": float("nan")}, "`recipe.mean` must be one number or three, not nan"),
    ],
)
def test_what_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        Recipe(**said).preprocessing()


@pytest.mark.parametrize("mode", ["caffe", "torch", Custom(bgr=True), Custom(mean=(1.0, 2.0, 3.0))])
def test_grey_images_have_no_three_channels(mode: Any) -> None:
    fit(mode, 3, "m")
    with pytest.raises(BadArgument, match="takes grey images"):
        fit(mode, 1, "m")


@pytest.mark.parametrize(
    ("mode", "white"), [("none", 255), ("unit", 1), ("tf", 1), (Custom(scale=(0.5,)), 127.5)]
)
def test_grey_images_have_one_number(mode: Any, white: float) -> None:
    fit(mode, 1, "m")
    found = prepare(np.full((1, 2, 3, 1), 255, np.uint8), mode)
    np.testing.assert_array_equal(found, np.full((1, 2, 3, 1), white, np.float32))


def test_a_formula_is_written_out() -> None:
    custom = Custom((0.5,), (1.0, 2.0, 3.0), (2.0,), True)
    assert described(custom) == "custom: (x * 0.5 - [1, 2, 3]) / 2, BGR"
    assert described("unit") == "unit: x / 255: 0..1"
