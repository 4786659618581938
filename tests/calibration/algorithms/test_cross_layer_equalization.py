"""Cross-layer equalization: the regions between Convs, and their scales."""

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, assert_pure_and_equal, normal

from kexport.calibration.algorithms.cross_layer_equalization import (
    equalization_scales,
    equalize,
    find_regions,
)
from kexport.calibration.statistics.channels import RETURN_PERIOD, expected_peaks
from kexport.calibration.statistics.ranges import collect_statistics


def conv(s: Sketch, x: ir.Value, shape: tuple[int, int], seed: int) -> ir.Value:
    """Add a 1 x 1 Conv whose output channels differ in magnitude."""
    spread = np.logspace(-1, 0, shape[0]).reshape(-1, 1, 1, 1)
    weights = s.constant(f"w{seed}", normal(*shape, 1, 1, seed=seed) * spread)
    return s.op("Conv", x, weights, s.constant(f"b{seed}", normal(shape[0], seed=seed)))


def channel_peaks(model: ir.Model, names: list[str], given: np.ndarray) -> dict[str, np.ndarray]:
    found = collect_statistics(model, [], names, given, batch=4, method="minmax").channels
    return {name: each.peaks for name, each in found.items()}


def residual(s: Sketch) -> tuple[ir.Value, ir.Value]:
    """Build a residual sum with a Relu; return it and the input."""
    x = s.input("x", [4, 3, 8, 8])
    first = s.op("MaxPool", conv(s, x, (6, 3), 1), kernel_shape=[2, 2], strides=[2, 2])
    border = s.constant("border", np.where(np.eye(4), 0.0, -np.inf)[None, None])
    first = s.op("Max", first, border)
    branch = s.op("Relu", conv(s, first, (8, 6), 2))
    summed = s.op("Relu", s.op("Add", conv(s, branch, (6, 8), 3), first))
    return summed, x


def test_a_residual_sum_and_its_branches_form_one_region() -> None:
    s = Sketch()
    summed, _ = residual(s)
    pads = s.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    model = s.model(conv(s, s.op("Pad", summed, pads), (5, 6), 4))
    whole, inner = find_regions(model)
    assert [node.name for node in whole.producers] == ["Conv_0", "Conv_2"]
    assert [node.name for node in whole.readers] == ["Conv_1", "Conv_3"]
    names = {"Conv_0", "MaxPool_0", "Max_0", "Conv_2", "Relu_1", "Pad_0"}
    assert {value.name for value in whole.tensors} == names
    assert ([n.name for n in inner.producers], [n.name for n in inner.readers]) == (
        ["Conv_1"],
        ["Conv_2"],
    )


def test_equalization_narrows_the_channels_of_a_region() -> None:
    s = Sketch()
    summed, _ = residual(s)
    model = s.model(conv(s, summed, (5, 6), 4))
    given = normal(4, 3, 8, 8, seed=9)
    names = [value.name or "" for region in find_regions(model) for value in region.tensors]
    before = channel_peaks(model, names, given)
    changed = assert_pure_and_equal(equalize(before), model, {"x": given}, 1e-4)
    after = channel_peaks(changed, names, given)
    wide, narrow = (sum(_decades(peaks[name]) for name in names) for peaks in (before, after))
    assert narrow < wide / 1.2
    assert all(after[name].max() <= 1.001 * before[name].max() for name in names)


@pytest.mark.parametrize("turned", [0, 1])
def test_equalization_reaches_a_gemm_after_a_flatten(turned: int) -> None:
    s = Sketch()
    x = s.input("x", [4, 3, 8, 8])
    flat = s.op("Flatten", s.op("GlobalAveragePool", s.op("Relu", conv(s, x, (6, 3), 1))))
    weights = s.constant("w", normal(*((5, 6) if turned else (6, 5)), seed=2))
    model = s.model(s.op("Gemm", flat, weights, transB=turned))
    (region,) = find_regions(model)
    assert [node.name for node in region.readers] == ["Gemm_0"]
    names = [value.name or "" for value in region.tensors]
    assert names == ["Relu_0", "GlobalAveragePool_0"]
    given = normal(4, 3, 8, 8, seed=9)
    before = channel_peaks(model, names, given)
    changed = assert_pure_and_equal(equalize(before), model, {"x": given}, 1e-4)
    after = channel_peaks(changed, names, given)
    assert all(_decades(after[name]) < _decades(before[name]) for name in names)


def test_a_gemm_that_reads_pixels_is_not_in_a_region() -> None:
    s = Sketch()
    flat = s.op("Flatten", s.op("Relu", conv(s, s.input("x", [4, 3, 2, 2]), (6, 3), 1)))
    assert not find_regions(s.model(s.op("Gemm", flat, s.constant("w", normal(24, 5)))))


def test_weights_of_a_silent_channel_do_not_coarsen_the_others() -> None:
    s = Sketch()
    x = s.input("x", [4, 3, 8, 8])
    silent = s.constant("silent", np.where(np.arange(6) == 2, -100.0, 0.5))
    maker = s.op("Conv", x, s.constant("w1", normal(6, 3, 1, 1, seed=1)), silent)
    reading = normal(5, 6, 1, 1, seed=2)
    reading[:, 2] *= 1000
    model = s.model(s.op("Conv", s.op("Relu", maker), s.constant("w2", reading)))
    given = normal(4, 3, 8, 8, seed=9)
    names = [value.name or "" for region in find_regions(model) for value in region.tensors]
    peaks = channel_peaks(model, names, given)
    changed = assert_pure_and_equal(equalize(peaks), model, {"x": given}, 1e-4)
    value = next(node for node in changed.graph if node.name == "Conv_1").inputs[1]
    largest = np.abs(value.const_value.numpy()).max(axis=(0, 2, 3))
    assert largest[2] == pytest.approx(np.delete(largest, 2).max())


def _decades(peaks: np.ndarray) -> float:
    return float(np.ptp(np.log10(peaks[peaks > 0])))


@pytest.mark.parametrize("reader", ["Sigmoid", "output", "constant"])
def test_a_tensor_with_other_readers_is_not_in_a_region(reader: str) -> None:
    s = Sketch()
    summed, _ = residual(s)
    last = conv(s, summed, (5, 6), 4)
    others = {
        "Sigmoid": lambda: s.op("Sigmoid", summed),
        "output": lambda: summed,
        "constant": lambda: s.op("Add", summed, s.constant("c", normal(1, 6, 1, 1))),
    }
    found = find_regions(s.model(last, others[reader]()))
    assert [[node.name for node in region.producers] for region in found] == [["Conv_1"]]


def test_regions_without_peaks_are_not_scaled() -> None:
    s = Sketch()
    summed, _ = residual(s)
    model = s.model(conv(s, summed, (5, 6), 4))
    names = [[value.name or "" for value in region.tensors] for region in find_regions(model)]
    peaks = channel_peaks(model, [*names[0], *names[1]], normal(4, 3, 8, 8))
    assert set(equalization_scales(model, peaks)) == {*names[0], *names[1]}
    del peaks[names[0][0]]
    assert set(equalization_scales(model, peaks)) == set(names[1])


def test_expected_peaks_follow_gumbels_distribution() -> None:
    location, scale = np.array([5.0, 1.0, 0.0]), np.array([0.5, 0.2, 0.0])
    seen = np.random.default_rng(0).gumbel(location, scale, (1000, 3))
    exact = location - scale * np.log(-np.log1p(-1 / RETURN_PERIOD))
    assert np.allclose(expected_peaks(seen.max(0), seen.mean(0), seen.std(0)), exact, rtol=0.1)


def test_expected_peaks_are_at_least_the_measured_ones() -> None:
    peaks = np.zeros((1000, 2))
    peaks[7, 0] = 4.0
    assert np.array_equal(expected_peaks(peaks.max(0), peaks.mean(0), peaks.std(0)), [4.0, 0.0])
