"""What may go back to float: which nodes go together, what comes first, and what it gains."""

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from phases import prepare_int8, simplify
from support import healthy

from kexport.calibration.accuracy.macs import multiply_adds
from kexport.calibration.accuracy.sensitivity import Island, by_worth
from kexport.calibration.execution.session import run_all
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.statistics.ranges import Range, measure_ranges
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.synthetic_images import pictures

PICTURES = pictures(8, 16, 16)


@pytest.fixture(scope="module")
def floating() -> ir.Model:
    """A chain of two residuals as in ResNetV2, a pool, and a swish."""
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="first")(given)
    for name in ("one", "two"):
        y = layers.ReLU()(layers.BatchNormalization(name=f"norm_{name}")(x))
        x = layers.Add(name=f"sum_{name}")([x, layers.Conv2D(8, 3, padding="same", name=name)(y)])
    x = layers.Conv2D(8, 3, name="behind")(layers.MaxPooling2D()(x))
    x = layers.Conv2D(8, 1, name="last")(layers.Activation("silu", name="swish")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = healthy(keras.Model(given, layers.Dense(4, name="top")(x)))
    passes = (
        *simplify("tf", None),
        *prepare_int8(18),
    )
    return pipeline.run(convert_model(model).model, passes).model


def scores(model: ir.Model) -> np.ndarray:
    return run_all(model, PICTURES, model.graph.outputs[0].name or "")


def ranges(model: ir.Model) -> dict[str, Range]:
    return measure_ranges(model, ONNXRUNTIME_CPU.tensors(model), PICTURES, batch=4, method="minmax")


def ranked(model: ir.Model, found: dict[str, Range]) -> list[Island]:
    return by_worth(model, ONNXRUNTIME_CPU, found, {}, scores, lambda done, total: None)


def test_neighbours_without_multiply_adds_are_one_island(floating: ir.Model) -> None:
    found = ranked(floating, ranges(floating))
    names = {frozenset(name.partition("/")[0] for name in island.nodes) for island in found}
    assert names == {
        frozenset({"norm_one"}),  # the sum before it is none, and the one behind reads `one`
        frozenset({"sum_one", "norm_two", "sum_two"}),
        frozenset({"swish"}),
        frozenset({"average"}),
        *(frozenset({name}) for name in ("first", "one", "two", "behind", "last", "top")),
    }


def test_they_come_first_and_the_best_of_them_before_the_others(floating: ir.Model) -> None:
    found = ranked(floating, ranges(floating))
    light = [island.light for island in found]
    assert light == sorted(light, reverse=True)
    for kind in (True, False):
        worth = [island.gain / island.cost for island in found if island.light is kind]
        assert worth == sorted(worth, reverse=True)
    costs = {name: island.cost for island in found if not island.light for name in island.nodes}
    assert costs == {
        node.name: multiply_adds(node) for node in floating.graph if node.name in costs
    }


def test_what_is_noisy_gains_most(floating: ir.Model) -> None:
    """A tensor whose range is far too wide is noise for what makes and what reads it alone."""
    found = ranges(floating)
    plain = {name: island.gain for island in ranked(floating, found) for name in island.nodes}
    wide = found["last/Conv"]
    found["last/Conv"] = Range(50 * wide.low, 50 * wide.high)
    gains = {name: island.gain for island in ranked(floating, found) for name in island.nodes}
    noisy = {"last/Conv", "average/GlobalAveragePool"}
    assert all(gains[name] > 10 * plain[name] for name in noisy)
    assert {name for name in gains if gains[name] != plain[name]} == noisy
