"""Hard cases made on purpose: a MobileNetV2 that plain quantisation ruins, and the gate mends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from support import digits_module, module_at

from kexport.calibration.accuracy.control import Gate, Gated, quantize
from kexport.calibration.accuracy.criterion import Criterion
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.macs import share
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.preprocessing import prepare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(root: Path) -> Any:
    return digits_module(root).split()[0]


@pytest.fixture(scope="module")
def hard(root: Path) -> Any:
    """The hardening of the benchmark."""
    return module_at(root / "bench" / "hard_cases.py").HARD


@pytest.fixture(scope="module")
def trained(root: Path) -> keras.Model:
    """A third as wide as usual, at 32 x 32, trained as bench/train_digits.py does."""
    build = keras.applications.MobileNetV2
    model = build(input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=10)
    with np.load(root / "tests" / "fixtures" / "mobilenet_v2.npz") as held:
        model.set_weights([held[name].astype(np.float32) for name in held.files])
    return model


@pytest.fixture
def model(trained: keras.Model) -> Iterator[keras.Model]:
    weights = trained.get_weights()
    yield trained
    trained.set_weights(weights)


def floated(model: keras.Model) -> ir.Model:
    passes = (
        *pipeline.with_image_input("tf", None),
        *pipeline.before_int8(18),
        *ONNXRUNTIME_CPU.prepare,
    )
    return pipeline.run(convert_model(model).model, passes).model


def gated(model: keras.Model, floating: ir.Model, digits: Any) -> Gated:
    """The gate as it is by default, on 32 digits to measure on and 200 others to judge by."""
    images = digits.pictures[32:232]
    reference = model.predict(prepare(images, "tf"), verbose=0)
    judge = Evaluator(images, reference, "probabilities")
    passing = Criterion("agreement", 0.01, judge.keras())
    gate = Gate(
        ONNXRUNTIME_CPU, digits.pictures[:32], judge, passing.holds, "mse", lambda step: None
    )
    return quantize(floating, gate.ranges(floating), gate)


def test_the_model_knows_the_digits(model: keras.Model, digits: Any) -> None:
    """So that agreement on them says something."""
    found = model.predict(prepare(digits.pictures, "tf"), verbose=0).argmax(axis=1)
    assert np.mean(found == digits.classes) > 0.98
    assert np.bincount(found).min() > 0.08 * len(found)


@pytest.mark.parametrize("case", ["spread", "dead", "outlier"])
def test_the_gate_holds(case: str, hard: Any, model: keras.Model, digits: Any) -> None:
    hard[case](model)
    floating = floated(model)
    result = gated(model, floating, digits)
    assert result.holds
    assert result.quality.agreement >= 0.99
    assert share(floating, place(floating, result.attempt.floats).nodes) >= 0.7
    plain = result.steps[0]
    assert plain.name == "quantised"
    assert plain.quality.agreement < 0.99
    if case != "dead":
        assert result.quality.sqnr > plain.quality.sqnr + 6
