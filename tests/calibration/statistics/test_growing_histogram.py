"""GrowingHistogram: compared with NumPy's histogram over the final range."""

import numpy as np
import pytest
from support import count, normal

from kexport.calibration.statistics.histogram import BINS, GROWING_BINS, GrowingHistogram, Range


def reach(values: np.ndarray) -> Range:
    return Range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))


def grown(parts: list[np.ndarray]) -> GrowingHistogram:
    found = GrowingHistogram()
    for part in parts:
        found.add(part, reach(part))
    return found


PARTS = {
    "ever larger": [normal(5000, seed=k, scale=10.0 ** (k - 3)) for k in range(6)],
    "one sign": [np.abs(normal(5000, seed=k)) for k in range(3)],
    "below zero": [-np.abs(normal(5000, seed=k)) * 1e-5 for k in range(3)],
    "relu": [np.maximum(normal(5000, seed=k), 0) for k in range(3)],
    "nothing at first": [np.zeros(100, np.float32), normal(5000) + 1e4],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_counts_are_exact_to_within_a_bin(parts: list[np.ndarray]) -> None:
    whole = np.concatenate(parts)
    extent = reach(whole)
    found = grown(parts).histogram(extent)
    assert found.counts.sum() == whole.size
    assert found.zeros == np.count_nonzero(whole == 0)
    assert found.without_zeros.min() >= 0
    edges, ordered = found.edges[1:-1], np.sort(whole[whole != 0])
    width = 2 * (extent.high - extent.low) / GROWING_BINS
    passed = np.cumsum(found.without_zeros)[:-1]
    assert (passed >= np.searchsorted(ordered, edges - width) - 1).all()
    assert (passed <= np.searchsorted(ordered, edges + width) + 1).all()


def test_the_order_of_batches_does_not_matter() -> None:
    parts = PARTS["ever larger"]
    extent = reach(np.concatenate(parts))
    counts = [grown(order).histogram(extent).counts for order in (parts, parts[::-1])]
    assert np.array_equal(*counts)


def test_matching_bins_equal_those_of_a_known_range() -> None:
    values = np.linspace(0, 1, 10_000, endpoint=False, dtype=np.float32)[1:]
    extent = Range(0.0, 1.0)
    found = GrowingHistogram()
    found.add(values, Range(0.0, float(np.nextafter(np.float32(1), np.float32(0)))))
    assert np.array_equal(found.histogram(extent).counts, count(values, extent).counts)
    assert BINS * 4 == GROWING_BINS
