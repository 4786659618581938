"""quantize_layer_weights: weights refitted to the quantized inputs of a layer."""

import numpy as np
import pytest
from support import Sketch, normal

from kexport.calibration.algorithms.layer_weights import quantize_layer_weights
from kexport.calibration.quantizer.qparams import QuantizedWeights, quantize_array, weight_qparams


def weights_that_double(half: bool) -> tuple[np.ndarray, np.ndarray, QuantizedWeights]:
    """Quantize weights whose inputs are half of those in the float graph."""
    exact, wanted = normal(3, 4, 1, 1, seed=1), normal(64, 4, 2, 2, seed=2)
    qparams = weight_qparams(exact, 0)
    s = Sketch()
    integers = s.constant("w", quantize_array(exact, qparams), np.int8)
    scale, zero = s.constant("s", qparams.scale), s.constant("z", qparams.zero_point, np.int8)
    read = s.op("DequantizeLinear", integers, scale, zero, axis=0)
    node = s.op("Conv", s.input("x", [64, 4, 2, 2]), read).producer()
    assert node is not None
    found = quantize_layer_weights(
        node, exact, [wanted / 2], [wanted], avoid_saturation=False, float16_scales=half
    )
    assert found is not None
    return exact, qparams.scale, found


@pytest.mark.parametrize("half", [False, True])
def test_scales_grow_with_the_weights(half: bool) -> None:
    exact, before, found = weights_that_double(half)
    assert np.all(found.qparams.scale > 1.5 * before)
    step = found.qparams.scale.reshape(-1, 1, 1, 1)
    assert np.all(np.abs(found.dequantized - 2 * exact) < 2 * step)


def test_scales_are_rounded_up_to_float16_on_request() -> None:
    scale = weights_that_double(half=True)[2].qparams.scale
    assert np.array_equal(scale, scale.astype(np.float16).astype(np.float32))
    assert not np.array_equal(scale, weights_that_double(half=False)[2].qparams.scale)
