"""Hard cases made on purpose: a MobileNetV2 that plain quantization ruins, and repairs restore."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from phases import prepare_int8, simplify
from support import digits_module, module_at

from kexport.calibration import (
    Criterion,
    Dataset,
    Evaluator,
    QuantizedModel,
    quantize_with_accuracy_control,
)
from kexport.calibration.accuracy.macs import macs_share
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
    """Load the hard cases of the benchmark."""
    return module_at(root / "bench" / "hard_cases.py").HARD


@pytest.fixture(scope="module")
def trained(root: Path) -> keras.Model:
    """Load a MobileNetV2 of alpha 0.35 at 32 x 32, trained by bench/train_digits.py."""
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


def float_graph(model: keras.Model) -> ir.Model:
    passes = (
        *simplify("tf", None),
        *prepare_int8(18),
    )
    return pipeline.run(convert_model(model).model, passes).model


def evaluator(model: keras.Model, images: Any) -> Evaluator:
    return Evaluator(images, model.predict(prepare(images, "tf"), verbose=0), "probabilities")


def criterion(of: Evaluator) -> Criterion:
    return Criterion("agreement", 0.01, of.evaluate_reference())


def quantized(model: keras.Model, floating: ir.Model, digits: Any) -> QuantizedModel:
    """Quantize on 100 digits, as an export does, and evaluate on 200 others."""
    judging = evaluator(model, digits.images[100:300])
    dataset = Dataset(digits.images[:100], judging)
    return quantize_with_accuracy_control(floating, dataset, ONNXRUNTIME_CPU, criterion(judging))


def test_the_model_classifies_the_digits(model: keras.Model, digits: Any) -> None:
    """Agreement on the digits is meaningful only then."""
    found = model.predict(prepare(digits.images, "tf"), verbose=0).argmax(axis=1)
    assert np.mean(found == digits.classes) > 0.98
    assert np.bincount(found).min() > 0.08 * len(found)


def test_wide_keeps_the_function(hard: Any, model: keras.Model, digits: Any) -> None:
    images = prepare(digits.images[:64], "tf")
    before = model.predict(images, verbose=0)
    hard["wide"](model)
    assert np.abs(model.predict(images, verbose=0) - before).max() < 1e-3


@pytest.mark.parametrize(
    "case",
    [
        "wide",
        *(pytest.param(case, marks=pytest.mark.zoo) for case in ("spread", "dead", "outlier")),
    ],
)
def test_hard_cases_meet_the_criterion(
    case: str, hard: Any, model: keras.Model, digits: Any
) -> None:
    """The drop on digits that were not judged is one that the verdict counts with."""
    hard[case](model)
    floating = float_graph(model)
    result = quantized(model, floating, digits)
    assert result.meets_criterion
    assert macs_share(floating, place(floating, result.plan.floats).nodes) >= 0.7
    unseen = evaluator(model, digits.images[300:])
    found = unseen.evaluate(result.model)
    known = criterion(unseen).verdict(result.quality).interval
    assert known.low <= 1 - found.agreement <= known.high
    plain = result.steps[0]
    assert plain.name == "quantised"
    assert plain.quality.agreement < 0.99
    if case != "dead":
        assert found.agreement >= 0.99
        assert result.quality.sqnr > plain.quality.sqnr + 6
