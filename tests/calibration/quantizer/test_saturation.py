"""saturation_free_weights: int8 weights that saturate no kernel of 16 bits, with small errors."""

import numpy as np
import pytest
from support import normal

from kexport.calibration.quantizer.qparams import dequantize_array, quantize_array, weight_qparams
from kexport.calibration.quantizer.saturation import (
    MAX_PAIR_SUM,
    limit_pair_sums,
    saturation_free_weights,
)

SHAPES = [((8, 6, 3, 3), 0), ((8, 3, 3, 3), 0), ((5, 7), 0), ((7, 5), 1), ((4, 1, 3, 3), 0)]


def sums_of_kernels(integers: np.ndarray, axis: int) -> np.ndarray:
    """Compute the sums of one sign of the pairs that `vpmaddubsw` adds, in plain loops."""
    found = []
    for row in np.moveaxis(integers.astype(int), axis, 0):
        window = np.moveaxis(row, 0, -1) if row.ndim > 1 else row
        flat = [*window.reshape(-1), 0]
        for index in range(0, len(flat) - 1, 2):
            pair = flat[index : index + 2]
            found += [sum(x for x in pair if x > 0), -sum(x for x in pair if x < 0)]
    return np.array(found)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("flat", [False, True], ids=["normal", "all as large"])
def test_no_pair_saturates_16_bits(shape: tuple[int, ...], axis: int, flat: bool) -> None:
    weights = np.sign(normal(*shape)) if flat else normal(*shape)
    integers, qparams = saturation_free_weights(weights, axis)
    assert (integers.dtype, integers.shape, qparams.axis) == (np.int8, shape, axis)
    sums = sums_of_kernels(integers, axis)
    assert sums.max() <= MAX_PAIR_SUM
    assert 255 * sums.max() <= np.iinfo(np.int16).max
    assert (
        np.abs(dequantize_array(integers, qparams) - weights).max() <= 0.51 * np.abs(weights).max()
    )


def error(weights: np.ndarray, rounded: np.ndarray) -> float:
    return float(np.square(rounded - weights).mean())


def test_the_error_is_near_that_of_8_bits_and_far_below_that_of_7() -> None:
    weights = normal(16, 64, 3, 3)
    integers, qparams = saturation_free_weights(weights, 0)
    ours = error(weights, dequantize_array(integers, qparams))
    eight, seven = (weight_qparams(weights, 0, levels) for levels in (127, 64))
    by_eight = error(weights, dequantize_array(quantize_array(weights, eight), eight))
    by_seven = error(weights, dequantize_array(quantize_array(weights, seven), seven))
    assert by_eight <= ours < 1.8 * by_eight
    assert by_seven > 3.5 * by_eight


def test_weights_without_large_pairs_are_rounded_to_nearest() -> None:
    weights = normal(4, 6)
    weights[:, 1::2] = 0
    integers, qparams = saturation_free_weights(weights, 0)
    plain = weight_qparams(weights, 0)
    assert np.array_equal(qparams.scale, plain.scale)
    assert np.array_equal(integers, quantize_array(weights, plain))


def test_large_pairs_are_reduced_by_half_of_the_excess_each_and_mixed_signs_kept() -> None:
    rows = np.array([[127, 127, -127, -100, 127, -127, 64, 64, 5]], np.int8)
    assert limit_pair_sums(rows).tolist() == [[64, 64, -77, -51, 127, -127, 64, 64, 5]]


def test_scales_are_at_least_those_that_the_bias_needs() -> None:
    _, qparams = saturation_free_weights(
        np.zeros((2, 4), np.float32), 0, min_scale=np.array([0.5, 2.0])
    )
    assert np.array_equal(qparams.scale, [0.5, 2.0])
