"""Accuracy control: hard models are repaired, and a model that fails the criterion is reported."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from phases import prepare_int8, simplify
from support import digits_module, healthy

from kexport.calibration import (
    Criterion,
    Dataset,
    Evaluator,
    QuantizedModel,
    quantize_with_accuracy_control,
)
from kexport.calibration.accuracy.criterion import (
    AcceptanceCriterion,
    choose_measure,
    criterion_for,
)
from kexport.calibration.accuracy.latency import Speed
from kexport.calibration.accuracy.macs import macs_share
from kexport.calibration.accuracy.mixed_precision import MIN_INT8_SHARE_FOR_MARGIN
from kexport.calibration.accuracy.refusal import accuracy_refusal, offers
from kexport.calibration.accuracy.report import SENSITIVE, entries
from kexport.calibration.metrics import Quality
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.calibration.quantizer.qparams import QParams, asymmetric_qparams
from kexport.calibration.statistics.histogram import Range
from kexport.conversion import convert_model
from kexport.errors import QuantizationRefused
from kexport.passes import pipeline
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images

pytestmark = pytest.mark.slow

EXACT = Quality(np.inf, 1.0)


@pytest.fixture(scope="module")
def digits(root: Path) -> Any:
    return digits_module(root)


@pytest.fixture(scope="module")
def trained(root: Path) -> keras.Model:
    path = root / "examples" / "digits" / "digits.keras"
    return keras.saving.load_model(path, compile=False)


@pytest.fixture
def model(trained: keras.Model) -> Iterator[keras.Model]:
    weights = trained.get_weights()
    yield trained
    trained.set_weights(weights)


def norms(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def spread(model: keras.Model) -> None:
    """Spread the variances of the norms over four decades, and adapt all weights to them."""
    rng = np.random.default_rng(3)
    for norm in norms(model)[:-1]:
        reader = model.layers[model.layers.index(norm) + 2]
        if isinstance(reader, keras.layers.ZeroPadding2D):
            reader = model.layers[model.layers.index(norm) + 3]
        factor = 10.0 ** rng.uniform(-2, 0, norm.gamma.shape)
        norm.moving_variance.assign(np.asarray(norm.moving_variance) / factor**2)
        norm.beta.assign(np.asarray(norm.beta) * factor)
        reader.kernel.assign(np.asarray(reader.kernel) / factor.reshape(1, 1, -1, 1))


def dead(model: keras.Model) -> None:
    """Silence a channel."""
    norm = norms(model)[4]
    for variable, value in ((norm.gamma, 0.0), (norm.beta, -1.0)):
        numbers = np.asarray(variable).copy()
        numbers[0] = value
        variable.assign(numbers)


def outlier(model: keras.Model) -> None:
    """Make a channel a hundred times as large, and the weights that read it a hundredth."""
    norm, reader = norms(model)[0], model.get_layer("conv_dw_1")
    factor = np.ones(norm.gamma.shape)
    factor[3] = 100
    for variable in (norm.gamma, norm.beta):
        variable.assign(np.asarray(variable) * factor)
    reader.kernel.assign(np.asarray(reader.kernel) / factor.reshape(1, 1, -1, 1))


def unclipped(model: keras.Model) -> keras.Model:
    """Replace each ReLU6 by a ReLU."""

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.ReLU(name=layer.name)
        return type(layer).from_config(layer.get_config())

    changed = keras.models.clone_model(model, clone_function=clone)
    changed.set_weights(model.get_weights())
    return changed


def int8_share(floating: ir.Model, result: QuantizedModel) -> float:
    return macs_share(floating, place(floating, result.plan.floats).nodes)


HARD = {"spread": spread, "dead": dead, "outlier": outlier}


def quantized(
    model: keras.Model, digits: Any, criterion: AcceptanceCriterion
) -> tuple[ir.Model, QuantizedModel]:
    passes = (
        *simplify("tf", None),
        *prepare_int8(18),
    )
    floating = pipeline.run(convert_model(model).model, passes).model
    train, held_out = digits.split()
    images, classes = held_out.images[:120], held_out.classes[:120]
    reference = model.predict(prepare(images, "tf"), verbose=0)
    evaluator = Evaluator(images, reference, "probabilities", classes)
    dataset = Dataset(train.images[:24], evaluator)
    return floating, quantize_with_accuracy_control(floating, dataset, ONNXRUNTIME_CPU, criterion)


@pytest.mark.parametrize("kind", list(HARD))
def test_hard_models_meet_the_criterion(kind: str, model: keras.Model, digits: Any) -> None:
    model = unclipped(model) if kind == "outlier" else model
    HARD[kind](model)
    floating, result = quantized(model, digits, Criterion("agreement", 0.01, EXACT))
    assert result.meets_criterion
    assert result.quality.agreement >= 0.99
    assert int8_share(floating, result) >= 0.7
    first = result.steps[0]
    assert first.name == "quantised"
    assert result.quality.sqnr >= first.quality.sqnr
    if kind != "dead":
        assert first.quality.agreement < 0.99
        assert result.quality.sqnr > first.quality.sqnr + 6


@pytest.fixture(scope="module")
def small() -> tuple[ir.Model, Evaluator]:
    """Build a model of five layers with weights, and its evaluator on 24 images."""
    x = y = keras.Input((16, 16, 3))
    for width in (8, 8, 12, 12):
        y = keras.layers.Conv2D(width, 3, activation="relu")(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = healthy(keras.Model(x, keras.layers.Dense(6, activation="softmax")(y)))
    passes = (
        *simplify("tf", None),
        *prepare_int8(18),
    )
    floating = pipeline.run(convert_model(model).model, passes).model
    drawn = draw_images(24, 16, 16)
    reference = model.predict(prepare(drawn, "tf"), verbose=0)
    return floating, Evaluator(drawn, reference, "probabilities")


@dataclass(frozen=True)
class Decision:
    """A criterion of functions."""

    is_met: Callable[[Quality], bool]
    margin: Callable[[Quality], bool] | None = None

    def has_margin(self, quality: Quality) -> bool:
        return (self.margin or self.is_met)(quality)


ALWAYS, NEVER = Decision(lambda quality: True), Decision(lambda quality: False)


def controlled(small: tuple[ir.Model, Evaluator], criterion: AcceptanceCriterion) -> QuantizedModel:
    floating, evaluator = small
    dataset = Dataset(evaluator.images[:8], evaluator)
    return quantize_with_accuracy_control(
        floating, dataset, ONNXRUNTIME_CPU, criterion, method="minmax"
    )


def test_a_model_that_fails_the_criterion_is_reported(small: tuple[ir.Model, Evaluator]) -> None:
    result = controlled(small, NEVER)
    assert not result.meets_criterion
    assert result.steps[-1].name.endswith("in float")
    for each in (result, controlled(small, Decision(lambda quality: quality.sqnr > 80))):
        assert 0.5 <= int8_share(small[0], each) <= 1.0


def test_as_few_nodes_as_possible_stay_in_float(small: tuple[ir.Model, Evaluator]) -> None:
    floats = [step for step in controlled(small, NEVER).steps if "float" in step.name]
    names = [step.name for step in floats]
    assert names[:2] == ["1 elementwise node in float", "1 elementwise node and 1 layer in float"]
    required = (floats[0].quality.sqnr + floats[1].quality.sqnr) / 2
    assert floats[0].quality.sqnr < required
    result = controlled(small, Decision(lambda quality: quality.sqnr > required))
    assert result.meets_criterion
    assert len(result.plan.floats) == 2
    assert result.steps[-2].name == names[1]
    assert result.steps[-1].name == f"bias correction, {names[1]}"


def test_a_missing_margin_leaves_more_in_float_and_refuses_nothing(
    small: tuple[ir.Model, Evaluator],
) -> None:
    plain = controlled(small, ALWAYS)
    assert not plain.plan.floats
    for required in (plain.quality.sqnr + 1, 100.0):
        margin = Decision(ALWAYS.is_met, lambda quality, x=required: quality.sqnr > x)
        result = controlled(small, margin)
        assert result.meets_criterion
        assert result.plan.floats
        assert int8_share(small[0], result) >= MIN_INT8_SHARE_FOR_MARGIN
        assert result.quality.sqnr > plain.quality.sqnr


def test_repairs_that_fail_the_criterion_are_discarded(small: tuple[ir.Model, Evaluator]) -> None:
    first = controlled(small, NEVER).steps[0].quality
    result = controlled(small, Decision(lambda quality: quality == first))
    assert result.meets_criterion
    assert [step.name for step in result.steps if step.kept] == ["quantised"]
    assert any(step.quality.sqnr > first.sqnr for step in result.steps)


def test_a_cache_saves_the_run_over_the_images(
    small: tuple[ir.Model, Evaluator], tmp_path: Path
) -> None:
    floating, evaluator = small
    dataset, cache = Dataset(evaluator.images[:8], evaluator), tmp_path / "ranges.json"
    spoken: list[list[str]] = [[], []]
    first, second = (
        quantize_with_accuracy_control(
            floating, dataset, ONNXRUNTIME_CPU, ALWAYS, cache=cache, say=said.append
        )
        for said in spoken
    )
    assert first.plan.ranges == second.plan.ranges
    assert [step.quality for step in first.steps] == [step.quality for step in second.steps]
    measuring = [any("measuring ranges" in words for words in said) for said in spoken]
    assert measuring == [True, False]


def test_the_report_lists_the_nodes_in_float_and_why(small: tuple[ir.Model, Evaluator]) -> None:
    floating, _ = small
    result = controlled(small, NEVER)
    entry = entries(result, ONNXRUNTIME_CPU, floating)
    assert 0.5 <= entry["multiply_adds_int8"] < 1
    assert {row["node"] for row in entry["float_nodes"]} == result.plan.floats
    assert {row["reason"] for row in entry["float_nodes"]} == {SENSITIVE}
    assert [row["name"] for row in entry["steps"]] == [step.name for step in result.steps]
    whole = entries(controlled(small, ALWAYS), ONNXRUNTIME_CPU, floating)
    assert (whole["multiply_adds_int8"], whole["float_nodes"]) == (1.0, [])
    assert [row["node"] for row in whole["layers"]] == [
        node.name for node in floating.graph if node.op_type in ("Conv", "Gemm")
    ]


def judged(lost: int, gained: int = 0, predicted: float = 0.0) -> Quality:
    """Describe a model by what changed on 500 images."""
    return Quality(30.0, images=500, lost=lost, gained=gained, predicted_drop=predicted)


@pytest.mark.parametrize(
    ("measure", "quality", "is_met", "has_margin"),
    [
        ("agreement", judged(0), True, True),
        ("agreement", judged(9), True, True),
        ("agreement", judged(9, predicted=0.011), True, False),
        ("agreement", judged(25), False, False),
        ("labels", judged(25, 20), True, True),
        ("labels", judged(25, 20, 0.011), True, False),
        ("labels", judged(25), False, False),
        ("noise", Quality(20.0), True, True),
        ("noise", Quality(19.9), False, False),
        ("nothing", Quality(-5.0, 0.0), True, True),
    ],
)
def test_a_criterion_counts_what_changed_and_has_a_margin_by_prediction(
    measure: Any, quality: Quality, is_met: bool, has_margin: bool
) -> None:
    criterion = Criterion(measure, 0.01, EXACT)
    assert criterion.is_met(quality) is is_met
    assert criterion.has_margin(quality) is has_margin


@pytest.mark.parametrize("kind", ["probabilities", "numbers"])
def test_repairs_are_tried_on_some_images_and_all_judge(
    kind: Any, small: tuple[ir.Model, Evaluator]
) -> None:
    floating, evaluator = small
    images, reference = (
        np.concatenate([each] * 5) for each in (evaluator.images, evaluator.reference)
    )
    whole = Evaluator(images, reference, kind)
    result = quantize_with_accuracy_control(
        floating, Dataset(images[:8], whole), ONNXRUNTIME_CPU, ALWAYS, method="minmax"
    )
    assert {step.quality.images for step in result.steps[:-1]} == {100}
    assert (result.steps[-1].name, result.quality.images) == ("judged on 120 images", 120)
    assert result.quality == whole.evaluate(result.model)


def test_the_int8_share_limits_what_returns_to_float(small: tuple[ir.Model, Evaluator]) -> None:
    floating, evaluator = small
    dataset = Dataset(evaluator.images[:8], evaluator)
    shares = [
        int8_share(
            floating,
            quantize_with_accuracy_control(
                floating, dataset, ONNXRUNTIME_CPU, NEVER, method="minmax", int8_share=least
            ),
        )
        for least in (0.9, 0.2)
    ]
    assert shares[0] >= 0.9
    assert 0.2 <= shares[1] < 0.9


def coarse(value: ir.Value, extent: Range) -> QParams:
    """Compute parameters with so few levels that many classes change."""
    found = asymmetric_qparams(extent)
    return QParams(found.scale * 60, np.asarray(found.zero_point // 60, np.uint8), "uint8")


def test_a_refusal_offers_what_other_limits_give(small: tuple[ir.Model, Evaluator]) -> None:
    """Each row of the table is published with the limits that it names."""
    floating, evaluator = small
    scheme = replace(ONNXRUNTIME_CPU, activation_qparams=coarse)
    dataset = Dataset(evaluator.images[:8], evaluator)
    strict = criterion_for(evaluator, 0.0, random=False)
    result = quantize_with_accuracy_control(floating, dataset, scheme, strict, method="minmax")
    assert not result.meets_criterion
    shares = [each.int8_share for each in result.alternatives]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0 > 0.5 > shares[-1] >= 0.25
    found = offers(strict, result.alternatives, lambda model: None)
    assert [offer.int8_share for offer in found] == shares
    for offer in (found[0], found[-1]):
        again = quantize_with_accuracy_control(
            floating,
            dataset,
            scheme,
            criterion_for(evaluator, offer.max_drop, random=False),
            method="minmax",
            int8_share=math.floor(100 * offer.int8_share) / 100,
        )
        assert again.meets_criterion
    with pytest.raises(QuantizationRefused) as caught:
        raise accuracy_refusal(strict, result, 0.5, lambda model: Speed(30.0, 10.0))
    error = caught.value
    assert re.search(r"costs too much accuracy: .* \(95% interval [\d.]+% to [\d.]+%\)", str(error))
    assert error.details[0].split()[:3] == ["in", "int8", "drop"]
    assert len(error.details) == len(shares) + 2
    assert "3.00 times fp32" in error.details[1]
    assert f"`calibration.max_drop={found[0].max_drop:g}`" in error.details[1]
    assert "int8_share" not in error.details[1]
    assert "`calibration.int8_share=0." in error.details[-2]
    assert error.details[-1].endswith("a target in fp32")


def test_the_measure_follows_from_labels_weights_and_classes() -> None:
    of = partial(choose_measure, random=False, labelled=False)
    assert of("scores") == "agreement"
    assert of("scores", random=True) == "nothing"
    assert of("scores", random=True, labelled=True) == "labels"
    assert of("numbers") == "noise"
