"""Equalisation and bias correction: what they leave as it is, and what they bring."""

from dataclasses import replace

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import healthy, onnx_answers

from kexport.calibration.accuracy.control import Attempt, Gate
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.algorithms.bias_correction import correct_bias, shifts
from kexport.calibration.algorithms.cross_layer_equalization import equalize, regions, scales
from kexport.calibration.execution.layerwise import LayerwiseRun
from kexport.calibration.execution.session import run_all
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.calibration.statistics.channels import foreseen
from kexport.calibration.statistics.ranges import measure, measure_ranges, range_of
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.synthetic_images import pictures

SIZE = 24
NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def spread() -> ir.Model:
    """MobileNet's parts with channels of very different sizes, as their norms make them."""
    x = keras.Input((SIZE, SIZE, 3))
    y = layers.ReLU(6.0)(layers.Conv2D(16, 3, padding="same")(x))
    y = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    y = layers.ReLU(6.0)(layers.Conv2D(24, 1, name="wide")(y))
    y = layers.Conv2D(8, 1, name="narrow")(y)
    y = layers.GlobalAveragePooling2D()(y)
    model = healthy(keras.Model(x, layers.Dense(5, name="top")(y)))
    rng = np.random.default_rng(0)
    for name, behind in (("depthwise", "wide"), ("wide", "narrow")):
        layer, reader = model.get_layer(name), model.get_layer(behind)
        factor = 10.0 ** rng.uniform(-2, 0, layer.bias.shape)
        by_channel = factor.reshape((-1, 1) if name == "depthwise" else (1, -1))
        layer.kernel.assign(np.asarray(layer.kernel) * by_channel)
        layer.bias.assign(np.asarray(layer.bias) * factor)
        reader.kernel.assign(np.asarray(reader.kernel) / factor.reshape(-1, 1))
    passes = (*simplify("tf", None), *prepare_int8(18))
    return pipeline.run(convert_model(model).model, passes).model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return pictures(16, SIZE, SIZE)


def between(model: ir.Model) -> list[str]:
    return [value.name or "" for region in regions(model) for value in region.tensors]


def even(model: ir.Model, images: np.ndarray) -> ir.Model:
    tensors = between(model)
    return equalize(channel_peaks(model, tensors, images))(model)


def channel_peaks(model: ir.Model, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    found = measure(model, [], names, images, batch=4, method="minmax").channels
    return {name: each.peaks for name, each in found.items()}


def quantized(model: ir.Model, images: np.ndarray) -> ir.Model:
    ranges = measure_ranges(model, ONNXRUNTIME_CPU.tensors(model), images, batch=4, method="minmax")
    return ONNXRUNTIME_CPU.quantize(model, ranges, NONE)


def noise(model: ir.Model, exact: ir.Model, images: np.ndarray) -> float:
    name = exact.graph.outputs[0].name or ""
    wanted, given = run_all(exact, images, name), run_all(model, images, name)
    return float(np.square(given - wanted).mean() / np.square(wanted).mean())


def test_peaks_are_those_of_the_tensors(spread: ir.Model, images: np.ndarray) -> None:
    name = between(spread)[0]
    probed = spread.clone()
    value = next(v for n in probed.graph for v in n.outputs if v.name == name)
    probed.graph.outputs.append(value)
    tensor = onnx_answers(probed, [images])[-1]
    seen = np.abs(tensor).max((2, 3)).astype(np.float64)
    wanted = foreseen(seen.max(axis=0), seen.mean(axis=0), seen.std(axis=0))
    assert np.allclose(channel_peaks(spread, [name], images)[name], wanted)


def test_equalisation_leaves_the_float_function_as_it_is(
    spread: ir.Model, images: np.ndarray
) -> None:
    changed = even(spread, images)
    others = pictures(8, SIZE, SIZE, seed=4)
    assert noise(changed, spread, images) < 1e-10
    assert noise(changed, spread, others) < 1e-4


def test_equalisation_gives_every_channel_its_share(spread: ir.Model, images: np.ndarray) -> None:
    tensors = between(spread)
    before = channel_peaks(spread, tensors, images)
    after = channel_peaks(even(spread, images), tensors, images)
    assert len(tensors) == 5
    decades = {name: (_decades(before[name]), _decades(after[name])) for name in tensors}
    assert sum(wide > 1.5 for wide, _ in decades.values()) == 2
    assert all(narrow < wide for wide, narrow in decades.values()), decades
    assert all(narrow < 1.0 for _, narrow in decades.values()), decades


def test_what_is_scaled_up_stays_below_what_is_to_be_expected_of_the_largest(
    spread: ir.Model, images: np.ndarray
) -> None:
    tensors = between(spread)
    before = channel_peaks(spread, tensors, images)
    after = channel_peaks(even(spread, images), tensors, images)
    for name in tensors:
        larger = after[name] > 1.001 * before[name]
        assert after[name][larger].max() <= 1.001 * before[name].max()


@pytest.mark.parametrize("method", ["minmax", "mse", "percentile", "entropy"])
def test_ranges_of_scaled_channels_are_those_of_the_scaled_graph(
    method: str, spread: ir.Model, images: np.ndarray
) -> None:
    tensors = [value.name or "" for region in regions(spread) for value in region.tensors]
    seen = measure(spread, [], tensors, images, batch=4, method=method).channels
    peaks = {name: each.peaks for name, each in seen.items()}
    wanted = measure_ranges(equalize(peaks)(spread), tensors, images, batch=4, method=method)
    for name, scale in scales(spread, peaks).items():
        if method != "minmax" and seen[name].values.size < 20_000:
            continue  # so small a sample says less than 5 % of its ends
        found = range_of(seen[name].scaled(scale), method)
        assert found.high == pytest.approx(
            wanted[name].high, rel=1e-5 if method == "minmax" else 0.05
        )
        assert found.low == pytest.approx(
            wanted[name].low, rel=1e-5 if method == "minmax" else 0.05
        )


def _decades(peaks: np.ndarray) -> float:
    """How far the channels that say anything at all lie apart."""
    return float(np.ptp(np.log10(peaks[peaks > 0])))


def test_equalisation_lowers_the_noise_of_uneven_channels(
    spread: ir.Model, images: np.ndarray
) -> None:
    plain = noise(quantized(spread, images), spread, images)
    better = noise(quantized(even(spread, images), images), spread, images)
    assert better < plain / 4


def test_bias_correction_takes_back_what_moved_on_average(
    spread: ir.Model, images: np.ndarray
) -> None:
    rough = quantized(spread, images)
    nodes = place(spread).weights
    found = shifts(spread, rough, nodes, images)
    assert {shift.node for shift in found} == nodes
    mended = correct_bias({shift.node: shift.correction for shift in found})(spread)
    corrected = quantized(mended, images)
    assert noise(corrected, spread, images) < noise(rough, spread, images)
    rest = shifts(spread, quantized(mended, images), nodes, images)
    moved, left = (np.abs(np.concatenate([s.correction for s in x])) for x in (found, rest))
    assert left.mean() < moved.mean() / 3


def test_rounding_for_the_inputs_lowers_the_noise(spread: ir.Model, images: np.ndarray) -> None:
    name = spread.graph.outputs[0].name or ""
    judge = Evaluator(images, run_all(spread, images, name), "numbers")
    gate = Gate(ONNXRUNTIME_CPU, images, judge, lambda quality: True, "minmax", lambda step: None)
    others = pictures(16, SIZE, SIZE, seed=4)
    whole = replace(gate, images=np.concatenate([images, others]))  # so that nothing is clipped
    plain = Attempt(spread, whole.ranges(spread))
    bare = gate.quantized(plain)
    corrected, mended = gate.corrected(plain, bare), gate.rounded(plain, bare)
    assert set(mended.rounded) == place(spread).weights
    before, after = (noise(gate.quantized(a), spread, others) for a in (corrected, mended))
    assert after < before / 1.2
    held = gate.quantized(mended).graph.initializers
    for node in plain.floating.graph:
        if node.name in mended.rounded:
            stored = held[f"{node.inputs[1].name}.quantized"].const_value
            assert np.array_equal(stored.numpy(), mended.rounded[node.name].integers)


def test_the_noise_of_a_layer_is_that_of_its_output(spread: ir.Model, images: np.ndarray) -> None:
    rough = quantized(spread, images)
    last = shifts(spread, rough, place(spread).weights, images)[-1]
    mended = correct_bias({"top/Gemm": np.zeros(5)})(rough)
    assert last.node in {node.name for node in mended.graph}
    name = spread.graph.outputs[0].name or ""
    wanted = run_all(spread, images, name)
    assert last.sqnr > 10 * np.log10(1 / noise(rough, spread, images)) - 0.1
    assert wanted.shape == (16, 5)


def test_step_by_step_gives_what_the_engine_gives(spread: ir.Model, images: np.ndarray) -> None:
    rough = quantized(spread, images)
    wanted = onnx_answers(rough, [images])[0]
    batches = [images[:8], images[8:]]
    (layer,) = LayerwiseRun(rough, batches).layers(lambda node: node.outputs[0].is_graph_output())
    assert np.allclose(np.concatenate(layer.result()), wanted, atol=1e-4 * np.abs(wanted).max())
