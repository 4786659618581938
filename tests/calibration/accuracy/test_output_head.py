"""The last layer before numbers stays in float where that costs next to nothing."""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import healthy

from kexport.calibration import Criterion, Dataset, Evaluator, quantize_with_accuracy_control
from kexport.calibration.accuracy.criterion import criterion_for
from kexport.calibration.accuracy.evaluator import Kind, output_kind
from kexport.calibration.accuracy.macs import macs_share
from kexport.calibration.accuracy.output_head import LARGEST_SHARE, head_of
from kexport.calibration.metrics import Quality, sqnr
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.conversion import convert_model
from kexport.outputs import Output
from kexport.passes import pipeline
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images


def graph_of(model: keras.Model) -> ir.Model:
    passes = (*simplify("tf", None), *prepare_int8(18))
    return pipeline.run(convert_model(model).model, passes).model


def embedder() -> keras.Model:
    x = y = keras.Input((24, 24, 3))
    for width in (8, 16):
        y = layers.Conv2D(width, 3, activation="relu")(y)
    y = layers.Dense(8, name="vector")(layers.GlobalAveragePooling2D()(y))
    return healthy(keras.Model(x, layers.UnitNormalization()(y)), "tf")


@pytest.mark.slow
def test_the_last_layer_before_a_vector_is_in_float() -> None:
    """Its average over the pixels as well, which 8 bits round more than anything else here."""
    model, drawn = embedder(), draw_images(40, 24, 24)
    floating = graph_of(model)
    reference = model.predict(prepare(drawn[16:], "tf"), verbose=0)
    evaluator = Evaluator(drawn[16:], reference, "vectors")
    criterion = criterion_for(evaluator, 0.01, random=False)
    assert criterion.measure == "directions"
    dataset = Dataset(drawn[:16], evaluator)
    found, whole = (
        quantize_with_accuracy_control(
            floating, dataset, ONNXRUNTIME_CPU, criterion, method="minmax", int8_share=share
        )
        for share in (0.5, 1.0)
    )
    assert whole.plan.floats == frozenset()
    assert found.plan.floats == head_of(floating)
    assert {floating.graph.node(name).op_type for name in found.plan.floats} >= {
        "Gemm",
        "GlobalAveragePool",
    }
    assert macs_share(floating, found.plan.floats) < LARGEST_SHARE
    assert found.quality.sqnr > whole.quality.sqnr + 3


def test_a_sum_of_two_layers_has_no_single_last_one() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Flatten()(layers.Conv2D(4, 3)(x))
    model = keras.Model(x, layers.Add()([layers.Dense(4)(y), layers.Dense(4)(y)]))
    assert head_of(graph_of(model)) == frozenset()


def test_larger_tensors_before_the_last_layer_stay_as_they_are() -> None:
    """The ReLU before the average has a number for each pixel, and is not part of the head."""
    graph = graph_of(embedder())
    kinds = [graph.graph.node(name).op_type for name in head_of(graph)]
    assert "Relu" not in kinds
    assert "Conv" not in kinds


def evaluated(kind: Kind, reference: np.ndarray, other: np.ndarray) -> float:
    """Return the SQNR of a model whose only output is its input."""
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["n", 3]))
    node = ir.node("Identity", [value])
    node.outputs[0].name, node.outputs[0].type = "y", value.type
    graph = ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": 18})
    evaluator = Evaluator(other, reference, kind)
    return evaluator.evaluate(ir.Model(graph, ir_version=9)).sqnr


def test_what_all_samples_share_is_no_signal() -> None:
    """300 kelvin with a noise of half a degree: 56 dB of the power, and 6 dB of what differs."""
    rng = np.random.default_rng(0)
    exact = (300 + rng.normal(size=(4000, 3))).astype(np.float32)
    noisy = (exact + 0.5 * rng.normal(size=exact.shape)).astype(np.float32)
    assert evaluated("numbers", exact, noisy) > 50
    assert evaluated("quantities", exact, noisy) == pytest.approx(6.02, abs=0.2)


def test_each_quantity_counts_in_its_own_unit() -> None:
    """Noise in millimetres does not hide behind a price in thousands; a constant tells nothing."""
    rng = np.random.default_rng(0)
    exact = (rng.normal(size=(4000, 3)) * [1000, 1, 0]).astype(np.float32)
    noisy = (exact + rng.normal(size=exact.shape) * [0, 1, 0]).astype(np.float32)
    assert evaluated("quantities", exact, noisy) == pytest.approx(3.01, abs=0.2)


def test_vectors_are_compared_by_their_directions() -> None:
    rng = np.random.default_rng(0)
    exact = (rng.normal(size=(500, 3)) + 10).astype(np.float32)
    longer = exact * np.linspace(0.5, 2, len(exact), dtype=np.float32)[:, np.newaxis]
    assert evaluated("vectors", exact, longer) > 100
    noisy = (exact + 0.1 * rng.normal(size=exact.shape)).astype(np.float32)
    unit, other = (
        each.astype(np.float64) / np.linalg.norm(each.astype(np.float64), axis=1, keepdims=True)
        for each in (exact, noisy)
    )
    spread = np.mean(np.var(unit, axis=0)) / np.mean(np.square(other - unit))
    assert evaluated("vectors", exact, noisy) == pytest.approx(10 * np.log10(spread), abs=1e-3)
    assert evaluated("vectors", exact, noisy) < sqnr(exact, noisy) - 15


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ({"name": "embed", "output": "y"}, "vectors"),
        ({"name": "regress", "outputs": ["z", "y"]}, "quantities"),
        ({"name": "embed", "output": "z"}, "numbers"),
        ({"name": "raw"}, "numbers"),
    ],
)
def test_the_task_says_how_the_output_is_compared(task: dict[str, object], kind: Kind) -> None:
    assert output_kind(Output("y", "features", "dense", 4), task) == kind


@pytest.mark.parametrize("measure", ["spread", "directions"])
def test_the_noise_of_quantities_and_vectors_decides(measure: str) -> None:
    criterion = Criterion(measure, 0.01, Quality(np.inf))
    assert criterion.is_met(Quality(20.0))
    assert not criterion.is_met(Quality(19.9))
