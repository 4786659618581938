"""Range estimators on histograms, compared with the same on all values."""

from __future__ import annotations

import numpy as np
import pytest
from support import count

from kexport.calibration.statistics.histogram import (
    BINS,
    Histogram,
    Range,
    entropy,
    expected_errors,
    mse,
    percentile,
)

Array = np.ndarray


def drawn(kind: str, size: int = 40_000) -> Array:
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.normal(0.3, 1, size),
        "relu": np.maximum(rng.normal(-0.5, 1, size), 0),
        "heavy": rng.laplace(0, 1, size) ** 3,
        "swish": (x := rng.normal(0, 3, size)) / (1 + np.exp(-x)),
        "negative": -np.abs(rng.normal(0, 2, size)),
        "outlier": np.append(np.maximum(rng.normal(0, 1, size), 0), 60.0),
    }
    return values[kind].astype(np.float32)


KINDS = ("normal", "relu", "heavy", "swish", "negative", "outlier")


def extent(values: Array) -> Range:
    return Range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_equal_those_of_numpy(kind: str) -> None:
    values = drawn(kind, 100_000)  # more than one chunk
    whole = extent(values)
    found = count(values.reshape(-1, 1), whole)
    wanted, edges = np.histogram(values.astype(np.float64), BINS, (whole.low, whole.high))
    assert found.counts.sum() == values.size
    # where a value is an edge, to within rounding, either bin is right
    assert np.abs(np.cumsum(found.counts) - np.cumsum(wanted)).max() <= 2
    np.testing.assert_allclose(found.edges, edges, rtol=1e-12, atol=1e-12)
    assert found.zeros == np.sum(values == 0)


def test_values_outside_the_range_are_in_the_outermost_bins() -> None:
    found = count(np.array([-9, 0.1, 9], np.float32), Range(-1.0, 1.0))
    assert (found.counts[0], found.counts[-1], found.counts.sum()) == (1, 1, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_percentiles_equal_those_of_numpy_to_within_a_bin(kind: str) -> None:
    values = drawn(kind)
    whole = extent(values)
    found = percentile(count(values, whole))
    low, high = np.percentile(values, [0.01, 99.99])
    width = (whole.high - whole.low) / BINS
    # between two values of the data, any number splits them as well
    near = np.sort(values)
    slack = width + float(max(np.diff(near[:9]).max(), np.diff(near[-9:]).max()))
    assert found.low == pytest.approx(min(low, 0), abs=slack)
    assert found.high == pytest.approx(max(high, 0), abs=slack)


def squared_error(values: Array, low: float, high: float) -> float:
    """Compute the error of quantizing to uint8 as ONNX' QuantizeLinear does."""
    step = (high - low) / 255
    zero = np.rint(-low / step)
    levels = np.clip(np.rint(values.astype(np.float64) / step) + zero, 0, 255)
    return float(np.square((levels - zero) * step - values).sum())


@pytest.mark.parametrize("kind", ["normal", "relu", "swish", "negative"])
def test_expected_errors_are_those_of_quantized_values(kind: str) -> None:
    values = drawn(kind)
    whole = extent(values)
    parts = np.array([1.0, 0.7, 0.4])
    found = expected_errors(count(values, whole), whole.low * parts, whole.high * parts)
    wanted = [squared_error(values, whole.low * part, whole.high * part) for part in parts]
    np.testing.assert_allclose(found, wanted, rtol=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_mse_is_as_good_as_trying_all_ranges(kind: str) -> None:
    values = drawn(kind, 4_000)
    whole = extent(values)
    parts = np.geomspace(0.02, 1, 40)
    best = min(
        squared_error(values, whole.low * a, whole.high * b)
        for a in (parts if whole.low else [1.0])
        for b in (parts if whole.high else [1.0])
    )
    found = mse(count(values, whole))
    assert whole.low <= found.low <= 0 <= found.high <= whole.high
    assert squared_error(values, found.low, found.high) <= 1.02 * best


def test_mse_clips_a_lone_outlier_and_keeps_a_flat_spread() -> None:
    alone = drawn("outlier", 1_000_000)
    # the minimum over h of (60 - h)^2 + n h^2 / (12 * 255^2), n values being rounded
    balance = 60 / (1 + np.count_nonzero(alone) / (12 * 255**2))
    assert mse(count(alone, extent(alone))).high == pytest.approx(balance, rel=0.03)
    flat = np.linspace(0, 1, 50_000, dtype=np.float32)
    assert mse(count(flat, Range(0.0, 1.0))).high == pytest.approx(1, abs=0.01)


def divergence(p: Array, q: Array) -> float:
    if ((p > 0) & (q == 0)).any():
        return np.inf
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def migacz(bins: Array, width: float) -> float:
    """Follow the slide "Entropy calibration - pseudocode" line by line."""
    divergences = {}
    for i in range(128, 2048 + 1):
        reference = bins[:i].astype(np.float64)
        reference[i - 1] += bins[i:].sum()
        level = np.arange(i) * 128 // i
        merged = np.bincount(level, bins[:i])
        filled = np.maximum(np.bincount(level, bins[:i] > 0), 1)
        candidate = np.where(bins[:i] > 0, (merged / filled)[level], 0)
        if candidate.sum() > 0:
            candidate /= candidate.sum()
        divergences[i] = divergence(reference / reference.sum(), candidate)
    best = min(divergences, key=lambda i: divergences[i])
    return min((best + 0.5) * width, 2048 * width)


@pytest.mark.parametrize("kind", ["relu", "heavy", "outlier"])
def test_entropy_equals_the_pseudocode_of_the_slides(kind: str) -> None:
    magnitudes = np.abs(drawn(kind))
    whole = extent(magnitudes)
    bins, _ = np.histogram(magnitudes[magnitudes > 0], BINS, (0, whole.high))
    zeros = int(np.sum(magnitudes == 0))
    counts = bins.copy()
    counts[0] += zeros
    found = entropy(Histogram(whole, counts, zeros))
    assert found.high == pytest.approx(migacz(bins, whole.high / BINS), rel=1e-9)
    assert found.low == -found.high


def test_entropy_keeps_two_values_apart() -> None:
    values = np.array([0, 0, 0, 2, 2], np.float32)
    assert entropy(count(values, Range(0.0, 2.0))) == Range(-2.0, 2.0)
