"""rounded: the weights of one layer, for what it reads once the layers before are quantised."""

import numpy as np
import pytest
from support import Sketch, normal

from kexport.calibration.algorithms.layer_weights import rounded
from kexport.calibration.quantizer.qparams import QuantizedWeights, of_weights, quantized


def weights_that_double(half: bool) -> tuple[np.ndarray, np.ndarray, QuantizedWeights]:
    """Weights whose inputs are half of what they are in the float graph, and what they become."""
    exact, wanted = normal(3, 4, 1, 1, seed=1), normal(64, 4, 2, 2, seed=2)
    grid = of_weights(exact, 0)
    s = Sketch()
    integers = s.constant("w", quantized(exact, grid), np.int8)
    scale, zero = s.constant("s", grid.scale), s.constant("z", grid.zero_point, np.int8)
    read = s.op("DequantizeLinear", integers, scale, zero, axis=0)
    node = s.op("Conv", s.input("x", [64, 4, 2, 2]), read).producer()
    assert node is not None
    found = rounded(node, exact, [wanted / 2], [wanted], paired=False, half=half)
    assert found is not None
    return exact, grid.scale, found


@pytest.mark.parametrize("half", [False, True])
def test_scales_grow_with_the_weights(half: bool) -> None:
    exact, before, found = weights_that_double(half)
    assert np.all(found.grid.scale > 1.5 * before)
    step = found.grid.scale.reshape(-1, 1, 1, 1)
    assert np.all(np.abs(found.numbers - 2 * exact) < 2 * step)


def test_scales_that_grow_are_numbers_of_float16_where_these_are_asked_for() -> None:
    scale = weights_that_double(half=True)[2].grid.scale
    assert np.array_equal(scale, scale.astype(np.float16).astype(np.float32))
    assert not np.array_equal(scale, weights_that_double(half=False)[2].grid.scale)
