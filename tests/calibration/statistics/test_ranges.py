"""Calibration statistics: by batches, equal to those of all images at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from support import Sketch, normal, onnx_answers, snapshot

from kexport.calibration.statistics.histogram import GrowingHistogram, entropy, mse, percentile
from kexport.calibration.statistics.ranges import Range, collect_statistics, measure_ranges
from kexport.errors import BadArgument, UnsupportedModel
from kexport.options.calibration import METHODS


def network(
    batch: int | str = "n", opset: int = 20, size: tuple[int | str, int | str] = (6, 5)
) -> tuple[ir.Model, list[str]]:
    s = Sketch(opset)
    image = s.input("image", [batch, *size, 3], ir.DataType.UINT8)
    x = s.op("Cast", s.op("Transpose", image, perm=[0, 3, 1, 2]), to=1)
    y = s.op("Conv", x, s.constant("w", normal(4, 3, 3, 3, scale=0.01)))
    z = s.op("Relu", s.op("Add", y, s.constant("b", 0.2)))
    model = s.model(s.op("ReduceMean", z, s.constant("axes", [2, 3], np.int64)))
    return model, [y.name or "", z.name or "", "ReduceMean_0"]


def images(count: int = 21) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 5, 3), np.uint8)


def values(model: ir.Model, names: list[str], given: np.ndarray) -> dict[str, Any]:
    shown = model.clone()
    made = {value.name: value for node in shown.graph for value in node.outputs}
    shown.graph.outputs[:] = [made[name] for name in names]
    return dict(zip(names, onnx_answers(shown, [given]), strict=True))


@pytest.mark.parametrize("batch", [1, 4, 21, 50])
def test_minmax_covers_all_values(batch: int) -> None:
    model, names = network()
    before, given = snapshot(model), images()
    found = measure_ranges(model, names, given, batch=batch, method="minmax")
    assert snapshot(model) == before
    assert list(found) == names
    for name, array in values(model, names, given).items():
        assert found[name].low == pytest.approx(min(array.min(), 0), rel=1e-5)
        assert found[name].high == pytest.approx(max(array.max(), 0), rel=1e-5)
    assert found["Relu_0"].low == 0


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_histograms_by_batches_equal_those_of_all_values(method: str, opset: int) -> None:
    model, names = network(opset=opset)
    given = images()
    found = measure_ranges(model, names, given, batch=4, method=method)
    search = {"percentile": percentile, "entropy": entropy, "mse": mse}[method]
    for name, array in values(model, names, given).items():
        whole = Range(min(float(array.min()), 0.0), max(float(array.max()), 0.0))
        span = whole if method != "entropy" else Range(0.0, float(np.abs(array).max()))
        at_once = GrowingHistogram()
        at_once.add(array if method != "entropy" else np.abs(array), span)
        wanted = search(at_once.histogram(span)).intersection(whole)
        assert found[name].low == pytest.approx(wanted.low, rel=1e-5)
        assert found[name].high == pytest.approx(wanted.high, rel=1e-5)


def test_a_fixed_batch_counts_no_image_twice() -> None:
    fixed, names = network(batch=8)
    loose, _ = network()
    given = images(21)
    for method in METHODS:
        wanted = measure_ranges(loose, names, given, batch=3, method=method)
        found = measure_ranges(fixed, names, given, batch=1, method=method)
        for name in names:
            assert found[name].high == pytest.approx(wanted[name].high, rel=2e-3)
            assert found[name].low == pytest.approx(wanted[name].low, rel=2e-3, abs=1e-6)


def test_a_graph_with_open_image_axes_has_the_same_statistics() -> None:
    given = images()
    fixed, names = network()
    loose, _ = network(size=("h", "w"))
    for method in METHODS:
        wanted, found = (
            collect_statistics(model, names, names[:2], given, batch=4, method=method)
            for model in (fixed, loose)
        )
        assert found.ranges == wanted.ranges
        assert list(found.channels) == names[:2]
        for name, each in found.channels.items():
            assert np.array_equal(each.peaks, wanted.channels[name].peaks)
            assert np.array_equal(each.values, wanted.channels[name].values)
            assert np.array_equal(each.channel_ids, wanted.channels[name].channel_ids)


def test_a_tensor_of_unknown_size_has_a_range_and_no_channel_statistics() -> None:
    s = Sketch()
    some = s.constant("some", [True, False, True, True], bool)
    y = s.op("Compress", s.input("x", ["n", 4, 3]), some, axis=1)
    model, given = s.model(s.op("Relu", y)), normal(6, 4, 3)
    found = collect_statistics(model, ["Relu_0"], ["Relu_0"], given, batch=2, method="minmax")
    assert found.ranges["Relu_0"].high == given[:, [0, 2, 3]].max()
    assert not found.channels


def test_a_constant_zero_has_an_empty_range() -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", ["n", 2]), s.constant("c", 0.0))
    model, given = s.model(y), normal(3, 2)
    for method in METHODS:
        found = measure_ranges(model, ["Mul_0"], given, batch=2, method=method)
        assert found == {"Mul_0": Range(0.0, 0.0)}


def test_the_input_of_the_graph_can_be_measured() -> None:
    s = Sketch()
    x = s.input("x", ["n", 2])
    model, given = s.model(s.op("Relu", x)), normal(30, 2)
    found = measure_ranges(model, ["x"], given, batch=7, method="percentile")
    assert found["x"].low == pytest.approx(given.min(), abs=0.01)
    assert found["x"].high == pytest.approx(given.max(), abs=0.01)


@pytest.mark.parametrize(("value", "at"), [(np.nan, 37), (np.nan, 0), (np.inf, 5), (-np.inf, 99)])
def test_values_that_are_not_finite_are_refused_with_their_first_node(
    value: float, at: int
) -> None:
    s = Sketch()
    y = s.op("Mul", s.input("x", ["n", 100]), s.constant("c", 2.0))
    model = s.model(s.op("Relu", y))
    given = normal(6, 100)
    given[4, at] = value
    with pytest.raises(UnsupportedModel, match=r"Mul_0, which Mul 'Mul_0' computes.*not finite"):
        measure_ranges(model, ["Relu_0", "Mul_0"], given, batch=2, method="minmax")


def test_an_unknown_method_is_refused() -> None:
    model, names = network()
    with pytest.raises(BadArgument, match="no calibration method 'entrop'") as caught:
        measure_ranges(model, names, images(), batch=1, method="entrop")
    assert caught.value.hint == "did you mean 'entropy'?"


@pytest.mark.parametrize("name", ["w", "nowhere", "image"])
def test_names_without_a_float32_tensor_are_an_error(name: str) -> None:
    model, _ = network()
    with pytest.raises(ValueError, match=f"{name} is not a float32 tensor"):
        measure_ranges(model, [name], images(), batch=1, method="minmax")


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_progress_counts_images(method: str) -> None:
    model, names = network()
    seen: list[tuple[int, int]] = []
    measure_ranges(
        model, names, images(21), batch=8, method=method, progress=lambda *pair: seen.append(pair)
    )
    assert seen == [(8, 21), (16, 21), (21, 21)]


class Watched(np.ndarray):
    """Notes how many images are read at a time."""

    reads: list[int] = []  # noqa: RUF012 - one test looks at it

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        Watched.reads.append(len(found))
        return np.asarray(found)


def test_images_are_read_a_batch_at_a_time(tmp_path: Path) -> None:
    given = images(21)
    given.tofile(tmp_path / "i")
    mapped = np.memmap(tmp_path / "i", np.uint8, "r", shape=given.shape)
    model, names = network()
    wanted = measure_ranges(model, names, given, batch=4, method="mse")
    assert measure_ranges(model, names, mapped, batch=4, method="mse") == wanted
    Watched.reads.clear()
    measure_ranges(model, names, given.view(Watched), batch=4, method="minmax")
    assert Watched.reads == [4, 4, 4, 4, 4, 1]
