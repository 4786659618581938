"""average_pool_to_depthwise_conv: an AveragePool without padding as a depthwise Conv."""

from typing import Any

import pytest
from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.average_pool_to_depthwise_conv import average_pool_to_depthwise_conv


def pooled(shape: list[int | str], **attributes: Any) -> dict[str, int]:
    s = Sketch()
    x = s.op("Relu", s.input("x", shape))
    model = s.model(s.op("AveragePool", x, **attributes))
    fed = [dim if isinstance(dim, int) else 7 for dim in shape]
    changed = assert_pure_and_equal(average_pool_to_depthwise_conv, model, {"x": normal(*fed)})
    found = list(changed.graph)[1]
    assert found.name == "AveragePool_0"
    return operators(changed)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2]},
        {"kernel_shape": [2, 2], "dilations": [2, 1], "auto_pad": "VALID"},
    ],
    ids=["halving", "oblong", "dilated"],
)
def test_outputs_are_equal_and_the_name_is_kept(attributes: dict[str, Any]) -> None:
    assert pooled([2, 5, 7, 6], **attributes) == {"Relu": 1, "Conv": 1}


def test_open_height_and_width_give_equal_outputs() -> None:
    assert pooled([2, 5, "h", "w"], kernel_shape=[2, 2]) == {"Relu": 1, "Conv": 1}


@pytest.mark.parametrize(
    "attributes",
    [{"pads": [0, 0, 1, 1]}, {"auto_pad": "SAME_UPPER"}, {"ceil_mode": 1, "strides": [2, 2]}],
    ids=["padded", "same", "rounded up"],
)
def test_padded_pools_stay(attributes: dict[str, Any]) -> None:
    found = pooled([2, 5, 7, 6], kernel_shape=[2, 2], **attributes)
    assert found == {"Relu": 1, "AveragePool": 1}


def test_other_ranks_stay() -> None:
    assert pooled([2, 5, 7], kernel_shape=[2]) == {"Relu": 1, "AveragePool": 1}
