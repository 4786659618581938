"""Equalization, bias correction and GPTQ: the function they keep, and the noise they remove."""

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import healthy, onnx_answers

from kexport.calibration.accuracy.plan import QuantizationPlan
from kexport.calibration.accuracy.repairs import collect, correct_biases, round_weights
from kexport.calibration.algorithms.bias_correction import correct_bias, measure_shifts
from kexport.calibration.algorithms.cross_layer_equalization import (
    equalization_scales,
    equalize,
    find_regions,
)
from kexport.calibration.execution.layerwise import LayerwiseRun
from kexport.calibration.execution.session import run_all
from kexport.calibration.progress import silent
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.calibration.statistics.channels import expected_peaks
from kexport.calibration.statistics.ranges import (
    collect_statistics,
    estimate_range,
    measure_ranges,
)
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.synthetic_images import draw_images

SIZE = 24
NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def spread() -> ir.Model:
    """Build MobileNet's parts with channels of very different sizes, as their norms make them."""
    x = keras.Input((SIZE, SIZE, 3))
    y = layers.ReLU(6.0)(layers.Conv2D(16, 3, padding="same")(x))
    y = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    y = layers.ReLU(6.0)(layers.Conv2D(24, 1, name="wide")(y))
    y = layers.Conv2D(8, 1, name="narrow")(y)
    y = layers.GlobalAveragePooling2D()(y)
    model = healthy(keras.Model(x, layers.Dense(5, name="top")(y)))
    rng = np.random.default_rng(0)
    for name, after in (("depthwise", "wide"), ("wide", "narrow")):
        layer, reader = model.get_layer(name), model.get_layer(after)
        factor = 10.0 ** rng.uniform(-2, 0, layer.bias.shape)
        by_channel = factor.reshape((-1, 1) if name == "depthwise" else (1, -1))
        layer.kernel.assign(np.asarray(layer.kernel) * by_channel)
        layer.bias.assign(np.asarray(layer.bias) * factor)
        reader.kernel.assign(np.asarray(reader.kernel) / factor.reshape(-1, 1))
    passes = (*simplify("tf", None), *prepare_int8(18))
    return pipeline.run(convert_model(model).model, passes).model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return draw_images(16, SIZE, SIZE)


def equalizable(model: ir.Model) -> list[str]:
    return [value.name or "" for region in find_regions(model) for value in region.tensors]


def equalized(model: ir.Model, images: np.ndarray) -> ir.Model:
    return equalize(channel_peaks(model, equalizable(model), images))(model)


def channel_peaks(model: ir.Model, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    found = collect_statistics(model, [], names, images, batch=4, method="minmax").channels
    return {name: each.peaks for name, each in found.items()}


def quantized(model: ir.Model, images: np.ndarray) -> ir.Model:
    ranges = measure_ranges(model, ONNXRUNTIME_CPU.tensors(model), images, batch=4, method="minmax")
    return ONNXRUNTIME_CPU.quantize(model, ranges, NONE)


def noise(model: ir.Model, exact: ir.Model, images: np.ndarray) -> float:
    name = exact.graph.outputs[0].name or ""
    wanted, given = run_all(exact, images, name), run_all(model, images, name)
    return float(np.square(given - wanted).mean() / np.square(wanted).mean())


def test_channel_peaks_are_extrapolated_from_the_maxima_of_each_image(
    spread: ir.Model, images: np.ndarray
) -> None:
    name = equalizable(spread)[0]
    probed = spread.clone()
    value = next(v for n in probed.graph for v in n.outputs if v.name == name)
    probed.graph.outputs.append(value)
    tensor = onnx_answers(probed, [images])[-1]
    seen = np.abs(tensor).max((2, 3)).astype(np.float64)
    wanted = expected_peaks(seen.max(axis=0), seen.mean(axis=0), seen.std(axis=0))
    assert np.allclose(channel_peaks(spread, [name], images)[name], wanted)


def test_equalization_does_not_change_the_float_function(
    spread: ir.Model, images: np.ndarray
) -> None:
    changed = equalized(spread, images)
    others = draw_images(8, SIZE, SIZE, seed=4)
    assert noise(changed, spread, images) < 1e-10
    assert noise(changed, spread, others) < 1e-4


def test_equalization_narrows_the_spread_of_channels(spread: ir.Model, images: np.ndarray) -> None:
    tensors = equalizable(spread)
    before = channel_peaks(spread, tensors, images)
    after = channel_peaks(equalized(spread, images), tensors, images)
    assert len(tensors) == 5
    decades = {name: (_decades(before[name]), _decades(after[name])) for name in tensors}
    assert sum(wide > 1.5 for wide, _ in decades.values()) == 2
    assert all(narrow < wide for wide, narrow in decades.values()), decades
    assert all(narrow < 1.0 for _, narrow in decades.values()), decades


def test_scaled_channels_stay_within_the_largest_expected_peak(
    spread: ir.Model, images: np.ndarray
) -> None:
    tensors = equalizable(spread)
    before = channel_peaks(spread, tensors, images)
    after = channel_peaks(equalized(spread, images), tensors, images)
    for name in tensors:
        larger = after[name] > 1.001 * before[name]
        assert after[name][larger].max() <= 1.001 * before[name].max()


@pytest.mark.parametrize("method", ["minmax", "mse", "percentile", "entropy"])
def test_ranges_estimated_from_scaled_channels_match_the_equalized_graph(
    method: str, spread: ir.Model, images: np.ndarray
) -> None:
    tensors = [value.name or "" for region in find_regions(spread) for value in region.tensors]
    seen = collect_statistics(spread, [], tensors, images, batch=4, method=method).channels
    peaks = {name: each.peaks for name, each in seen.items()}
    wanted = measure_ranges(equalize(peaks)(spread), tensors, images, batch=4, method=method)
    for name, scale in equalization_scales(spread, peaks).items():
        if method != "minmax" and seen[name].values.size < 20_000:
            continue  # the ends of such a small sample vary by more than 5 %
        found = estimate_range(seen[name].scaled(scale), method)
        assert found.high == pytest.approx(
            wanted[name].high, rel=1e-5 if method == "minmax" else 0.05
        )
        assert found.low == pytest.approx(
            wanted[name].low, rel=1e-5 if method == "minmax" else 0.05
        )


def _decades(peaks: np.ndarray) -> float:
    """Compute the spread of the channels that are not silent."""
    return float(np.ptp(np.log10(peaks[peaks > 0])))


def test_equalization_lowers_the_noise_of_uneven_channels(
    spread: ir.Model, images: np.ndarray
) -> None:
    plain = noise(quantized(spread, images), spread, images)
    better = noise(quantized(equalized(spread, images), images), spread, images)
    assert better < plain / 4


def test_bias_correction_removes_the_mean_shift(spread: ir.Model, images: np.ndarray) -> None:
    rough = quantized(spread, images)
    nodes = place(spread).weights
    found = measure_shifts(spread, rough, nodes, images)
    assert {shift.node for shift in found} == nodes
    with_biases = correct_bias({shift.node: shift.correction for shift in found})(spread)
    corrected = quantized(with_biases, images)
    assert noise(corrected, spread, images) < noise(rough, spread, images)
    rest = measure_shifts(spread, quantized(with_biases, images), nodes, images)
    moved, left = (np.abs(np.concatenate([s.correction for s in x])) for x in (found, rest))
    assert left.mean() < moved.mean() / 3


def test_gptq_lowers_the_noise_below_that_of_bias_correction(
    spread: ir.Model, images: np.ndarray
) -> None:
    scheme, others = ONNXRUNTIME_CPU, draw_images(16, SIZE, SIZE, seed=4)
    both = np.concatenate([images, others])  # so that nothing is clipped
    plain = QuantizationPlan(spread, collect(spread, scheme, both, "minmax", silent).ranges)
    bare = plain.quantize(scheme)
    corrected = correct_biases(plain, bare, scheme, images, silent)
    rounded = round_weights(plain, bare, scheme, images, silent)
    assert set(rounded.weights) == place(spread).weights
    before, after = (noise(plan.quantize(scheme), spread, others) for plan in (corrected, rounded))
    assert after < before / 1.2
    stored = rounded.quantize(scheme).graph.initializers
    for node in plain.floating.graph:
        if node.name in rounded.weights:
            integers = stored[f"{node.inputs[1].name}.quantized"].const_value.numpy()
            assert np.array_equal(integers, rounded.weights[node.name].integers)


def test_the_sqnr_of_the_last_layer_is_that_of_the_output(
    spread: ir.Model, images: np.ndarray
) -> None:
    rough = quantized(spread, images)
    last = measure_shifts(spread, rough, place(spread).weights, images)[-1]
    with_biases = correct_bias({"top/Gemm": np.zeros(5)})(rough)
    assert last.node in {node.name for node in with_biases.graph}
    name = spread.graph.outputs[0].name or ""
    wanted = run_all(spread, images, name)
    assert last.sqnr > 10 * np.log10(1 / noise(rough, spread, images)) - 0.1
    assert wanted.shape == (16, 5)


def test_layerwise_execution_matches_the_engine(spread: ir.Model, images: np.ndarray) -> None:
    rough = quantized(spread, images)
    wanted = onnx_answers(rough, [images])[0]
    batches = [images[:8], images[8:]]
    (layer,) = LayerwiseRun(rough, batches).layers(lambda node: node.outputs[0].is_graph_output())
    made = layer.outputs(*zip(*layer.moving(), strict=True))
    assert np.allclose(np.concatenate(made), wanted, atol=1e-4 * np.abs(wanted).max())
