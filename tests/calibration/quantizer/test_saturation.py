"""of_pairs: int8 weights that no kernel of 16 bits can overflow, as near as can be."""

import numpy as np
import pytest
from support import normal

from kexport.calibration.quantizer.qparams import dequantized, of_weights, quantized
from kexport.calibration.quantizer.saturation import MOST, of_pairs, shortened

SHAPES = [((8, 6, 3, 3), 0), ((8, 3, 3, 3), 0), ((5, 7), 0), ((7, 5), 1), ((4, 1, 3, 3), 0)]


def sums_of_kernels(integers: np.ndarray, axis: int) -> np.ndarray:
    """Same-signed sums of the pairs that `vpmaddubsw` adds, written out in plain loops."""
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
def test_no_pair_overflows_16_bits(shape: tuple[int, ...], axis: int, flat: bool) -> None:
    weights = np.sign(normal(*shape)) if flat else normal(*shape)
    integers, grid = of_pairs(weights, axis)
    assert (integers.dtype, integers.shape, grid.axis) == (np.int8, shape, axis)
    sums = sums_of_kernels(integers, axis)
    assert sums.max() <= MOST
    assert 255 * sums.max() <= np.iinfo(np.int16).max
    assert np.abs(dequantized(integers, grid) - weights).max() <= 0.51 * np.abs(weights).max()


def error(weights: np.ndarray, rounded: np.ndarray) -> float:
    return float(np.square(rounded - weights).mean())


def test_nearly_eight_bits_are_left_where_seven_would_do() -> None:
    weights = normal(16, 64, 3, 3)
    integers, grid = of_pairs(weights, 0)
    ours = error(weights, dequantized(integers, grid))
    eight, seven = (of_weights(weights, 0, levels) for levels in (127, 64))
    by_eight = error(weights, dequantized(quantized(weights, eight), eight))
    by_seven = error(weights, dequantized(quantized(weights, seven), seven))
    assert by_eight <= ours < 1.8 * by_eight
    assert by_seven > 3.5 * by_eight


def test_weights_without_such_pairs_are_rounded_as_they_are() -> None:
    weights = normal(4, 6)
    weights[:, 1::2] = 0
    integers, grid = of_pairs(weights, 0)
    plain = of_weights(weights, 0)
    assert np.array_equal(grid.scale, plain.scale)
    assert np.array_equal(integers, quantized(weights, plain))


def test_pairs_are_shortened_by_half_each_and_mixed_signs_left_alone() -> None:
    rows = np.array([[127, 127, -127, -100, 127, -127, 64, 64, 5]], np.int8)
    assert shortened(rows).tolist() == [[64, 64, -77, -51, 127, -127, 64, 64, 5]]


def test_a_scale_is_no_finer_than_the_bias_needs() -> None:
    _, grid = of_pairs(np.zeros((2, 4), np.float32), 0, least=np.array([0.5, 2.0]))
    assert np.array_equal(grid.scale, [0.5, 2.0])
