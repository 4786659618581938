"""fuse_gray_to_rgb_into_conv: a Conv on a repeated grey channel reads one channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.fuse_gray_to_rgb_into_conv import fuse_gray_to_rgb_into_conv


def sketch(channels: int, shift: Any = None, picked: Any = (0, 0, 0), group: int = 1) -> Any:
    s = Sketch()
    x = s.input("x", [2, channels, 6, 6])
    y = s.op("Gather", x, s.constant("picked", picked, np.int64), axis=1)
    if shift is not None:
        y = s.op("Add", y, s.constant("shift", shift))
    weights = s.constant("w", normal(6, 3 // group, 3, 3))
    return s.model(s.op("Conv", y, weights, pads=[1, 1, 1, 1], group=group))


@pytest.mark.parametrize("shift", [None, -127.5])
def test_the_weights_of_one_channel_are_summed(shift: Any) -> None:
    feeds = {"x": normal(2, 1, 6, 6)}
    changed = assert_pure_and_equal(fuse_gray_to_rgb_into_conv, sketch(1, shift), feeds)
    assert operators(changed)["Gather"] == 0
    (conv,) = [node for node in changed.graph if node.op_type == "Conv"]
    assert list(conv.inputs[1].shape) == [6, 1, 3, 3]


@pytest.mark.parametrize(
    "arguments",
    [
        {"channels": 3, "picked": (2, 1, 0)},
        {"channels": 3},
        {"channels": 1, "group": 3},
        {"channels": 1, "shift": [[[1.0]], [[2.0]], [[3.0]]]},
    ],
)
def test_other_gathers_stay(arguments: Any) -> None:
    feeds = {"x": normal(2, arguments["channels"], 6, 6)}
    changed = assert_pure_and_equal(fuse_gray_to_rgb_into_conv, sketch(**arguments), feeds)
    assert operators(changed)["Gather"] == 1
