"""The gate: hard models hold after repair, and one that cannot is said not to."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from support import digits_module, healthy

from kexport.calibration.accuracy.control import RESERVED_INTEGERS, Gate, Gated, quantize
from kexport.calibration.accuracy.criterion import Criterion, measure_of
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.macs import share
from kexport.calibration.accuracy.report import CHOSEN, entries
from kexport.calibration.metrics import Quality
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU, place
from kexport.conversion import convert_model
from kexport.passes import pipeline
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import pictures

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
    """Variances of the norms over four decades, with all the rest adapted to them."""
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
    """A channel that never says anything."""
    norm = norms(model)[4]
    for variable, value in ((norm.gamma, 0.0), (norm.beta, -1.0)):
        numbers = np.asarray(variable).copy()
        numbers[0] = value
        variable.assign(numbers)


def outlier(model: keras.Model) -> None:
    """A channel a hundred times as large as it was, for a layer that reads a hundredth of it."""
    norm, reader = norms(model)[0], model.get_layer("conv_dw_1")
    factor = np.ones(norm.gamma.shape)
    factor[3] = 100
    for variable in (norm.gamma, norm.beta):
        variable.assign(np.asarray(variable) * factor)
    reader.kernel.assign(np.asarray(reader.kernel) / factor.reshape(1, 1, -1, 1))


def unclipped(model: keras.Model) -> keras.Model:
    """The model with Relu in the place of ReLU6."""

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.ReLU(name=layer.name)
        return type(layer).from_config(layer.get_config())

    changed = keras.models.clone_model(model, clone_function=clone)
    changed.set_weights(model.get_weights())
    return changed


HARD = {"spread": spread, "dead": dead, "outlier": outlier}


def gated(
    model: keras.Model, digits: Any, holds: Callable[[Quality], bool]
) -> tuple[ir.Model, Gated]:
    passes = (
        *pipeline.with_image_input("tf", None),
        *pipeline.before_int8(18),
        *ONNXRUNTIME_CPU.prepare,
    )
    floating = pipeline.run(convert_model(model).model, passes).model
    train, held_out = digits.split()
    images, classes = held_out.pictures[:120], held_out.classes[:120]
    reference = model.predict(prepare(images, "tf"), verbose=0)
    judge = Evaluator(images, reference, "probabilities", classes)
    gate = Gate(ONNXRUNTIME_CPU, train.pictures[:24], judge, holds, "mse", lambda step: None)
    return floating, quantize(floating, gate.ranges(floating), gate)


@pytest.mark.parametrize("kind", list(HARD))
def test_hard_models_hold(kind: str, model: keras.Model, digits: Any) -> None:
    model = unclipped(model) if kind == "outlier" else model
    HARD[kind](model)
    passing = Criterion("agreement", 0.01, EXACT)
    floating, result = gated(model, digits, passing.holds)
    assert result.holds
    assert result.quality.agreement >= 0.99
    assert share(floating, place(floating, result.attempt.floats).nodes) >= 0.7
    first = result.steps[0]
    assert first.name == "quantised"
    assert result.quality.sqnr >= first.quality.sqnr
    if kind != "dead":
        assert first.quality.agreement < 0.99
        assert result.quality.sqnr > first.quality.sqnr + 6


@pytest.fixture(scope="module")
def small() -> tuple[ir.Model, Evaluator]:
    """Five layers with weights, and what they give for 24 images."""
    x = y = keras.Input((16, 16, 3))
    for width in (8, 8, 12, 12):
        y = keras.layers.Conv2D(width, 3, activation="relu")(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = healthy(keras.Model(x, keras.layers.Dense(6, activation="softmax")(y)))
    passes = (
        *pipeline.with_image_input("tf", None),
        *pipeline.before_int8(18),
        *ONNXRUNTIME_CPU.prepare,
    )
    floating = pipeline.run(convert_model(model).model, passes).model
    drawn = pictures(24, 16, 16)
    reference = model.predict(prepare(drawn, "tf"), verbose=0)
    return floating, Evaluator(drawn, reference, "probabilities")


def judged(
    small: tuple[ir.Model, Evaluator],
    holds: Callable[[Quality], bool],
    ample: Callable[[Quality], bool] | None = None,
) -> Gated:
    floating, judge = small
    gate = Gate(ONNXRUNTIME_CPU, judge.images[:8], judge, holds, "minmax", lambda step: None, ample)
    return quantize(floating, gate.ranges(floating), gate)


def test_a_model_that_cannot_hold_is_said_not_to(small: tuple[ir.Model, Evaluator]) -> None:
    result = judged(small, lambda quality: False)
    assert not result.holds
    assert result.steps[-1].name.endswith("in float")
    for step in (result, judged(small, lambda quality: quality.sqnr > 80)):
        left = share(small[0], place(small[0], step.attempt.floats).nodes)
        assert 0.5 <= left <= 1.0


def test_as_little_as_it_takes_stays_float(small: tuple[ir.Model, Evaluator]) -> None:
    floats = [s for s in judged(small, lambda quality: False).steps if "float" in s.name]
    names = [step.name for step in floats]
    assert names[:2] == ["1 elementwise node in float", "1 elementwise node and 1 layer in float"]
    wanted = (floats[0].quality.sqnr + floats[1].quality.sqnr) / 2
    assert floats[0].quality.sqnr < wanted
    result = judged(small, lambda quality: quality.sqnr > wanted)
    assert result.holds
    assert len(result.attempt.floats) == 2
    assert result.steps[-1].name == names[1]


def test_a_reserve_leaves_more_in_float_and_refuses_nothing(
    small: tuple[ir.Model, Evaluator],
) -> None:
    plain = judged(small, lambda quality: True)
    assert not plain.attempt.floats
    for wanted in (plain.quality.sqnr + 1, 100.0):
        result = judged(small, lambda quality: True, lambda quality, x=wanted: quality.sqnr > x)
        assert result.holds
        assert result.attempt.floats
        assert share(small[0], place(small[0], result.attempt.floats).nodes) >= RESERVED_INTEGERS
        assert result.quality.sqnr > plain.quality.sqnr


def test_nothing_is_kept_with_which_the_gate_no_longer_holds(
    small: tuple[ir.Model, Evaluator],
) -> None:
    first = judged(small, lambda quality: False).steps[0].quality
    result = judged(small, lambda quality: quality == first)
    assert result.holds
    assert [step.name for step in result.steps if step.kept] == ["quantised"]
    assert any(step.quality.sqnr > first.sqnr for step in result.steps)


def test_the_report_says_what_stays_float_and_why(small: tuple[ir.Model, Evaluator]) -> None:
    floating, _ = small
    result = judged(small, lambda quality: False)
    entry = entries(result, ONNXRUNTIME_CPU, floating)
    assert 0.5 <= entry["multiply_adds_int8"] < 1
    assert {row["node"] for row in entry["float_nodes"]} == result.attempt.floats
    assert {row["reason"] for row in entry["float_nodes"]} == {CHOSEN}
    assert [row["name"] for row in entry["steps"]] == [step.name for step in result.steps]
    whole = entries(judged(small, lambda quality: True), ONNXRUNTIME_CPU, floating)
    assert (whole["multiply_adds_int8"], whole["float_nodes"]) == (1.0, [])
    assert [row["node"] for row in whole["layers"]] == [
        node.name for node in floating.graph if node.op_type in ("Conv", "Gemm")
    ]


@pytest.mark.parametrize(
    ("measure", "quality", "holds"),
    [
        ("agreement", Quality(5.0, 0.99), True),
        ("agreement", Quality(50.0, 0.989), False),
        ("labels", Quality(5.0, 0.5, top1=0.89), True),
        ("labels", Quality(5.0, 1.0, top1=0.889), False),
        ("noise", Quality(20.0), True),
        ("noise", Quality(19.9), False),
        ("nothing", Quality(-5.0, 0.0), True),
    ],
)
def test_what_is_enough(measure: Any, quality: Quality, holds: bool) -> None:
    passing = Criterion(measure, 0.01, Quality(np.inf, 1.0, top1=0.9))
    assert passing.holds(quality) is holds


@pytest.mark.parametrize(
    ("measure", "quality", "ample"),
    [
        ("agreement", Quality(26.1, 1.0), True),
        ("agreement", Quality(25.9, 1.0), False),
        ("agreement", Quality(50.0, 0.98), False),
        ("labels", Quality(5.0, 0.5, top1=0.89), True),
        ("noise", Quality(20.0), True),
        ("nothing", Quality(-5.0, 0.0), True),
    ],
)
def test_what_is_enough_with_a_reserve(measure: Any, quality: Quality, ample: bool) -> None:
    passing = Criterion(measure, 0.01, Quality(np.inf, 1.0, top1=0.9))
    assert passing.ample(quality) is ample


def test_what_decides() -> None:
    of = partial(measure_of, random=False, labelled=False, classes=True)
    assert of() == "agreement"
    assert of(random=True) == "nothing"
    assert of(random=True, labelled=True) == "labels"
    assert of(classes=False) == "noise"
