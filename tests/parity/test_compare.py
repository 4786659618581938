"""Parity that can fail: faults planted on the way are refused through the bundle's own runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from cpp_verifiers import Export
from support import healthy, normal, small_classifier

from kexport.api import export
from kexport.conversion import padding
from kexport.errors import ParityFailed
from kexport.graph import affine, edit
from kexport.graph.emit import Emitter
from kexport.graph.passes import Pass
from kexport.options.application import Recipe
from kexport.parity import compare
from kexport.parity.tolerance import FACTORS, FLOORS
from kexport.passes import image_input as pixels
from kexport.passes import pipeline
from kexport.passes.pipeline import GraphFormat, PassArguments, PhaseName
from kexport.runtime.verify import Row

MODES = ("tf", "caffe", "torch")


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    return {mode: healthy(small_classifier(), mode) for mode in MODES}


@pytest.fixture
def publish(export_and_verify: Export) -> Export:
    """Export a model with a preprocessing, and return its manifest."""

    def make(model: keras.Model, mode: str, folder: Path) -> dict[str, Any]:
        recipe = Recipe(preprocess=mode)
        return export_and_verify(model, "cpu-fp32", output=folder, recipe=recipe).manifest

    return make


def refused(model: keras.Model, mode: str, tmp_path: Path, target: str = "cpu-fp32") -> str:
    folder = tmp_path / "bundle"
    with pytest.raises(ParityFailed, match="away from Keras'") as caught:
        export(model, target, output=folder, recipe=Recipe(preprocess=mode))
    assert "bundle.rejected" in (caught.value.hint or "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.rejected"]
    return str(caught.value)


def saturated() -> keras.Model:
    """Return a classifier whose logits are hundreds apart."""
    model = healthy(small_classifier(), "tf")
    top = model.layers[-1]
    top.kernel.assign(np.asarray(top.kernel) * 300)
    return model


def badly_conditioned() -> keras.Model:
    """Return a model that subtracts two features which are nearly equal."""
    keras.utils.set_random_seed(0)
    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(8, 3, activation="relu")(x)
    first, second = (keras.layers.Conv2D(8, 3, name=name)(y) for name in ("first", "second"))
    model = keras.Model(x, keras.layers.Subtract()([first, second]))
    kernel = np.asarray(model.get_layer("first").kernel)
    nearly = kernel * (1 + 1e-3 * np.random.default_rng(0).normal(size=kernel.shape))
    model.get_layer("second").kernel.assign(nearly)
    return model


def spoil_one_weight(
    monkeypatch: pytest.MonkeyPatch, operator: str, share: float, *, last: bool = False
) -> None:
    """Add `share` of the spread of the first or last kernel to one of its numbers."""

    @Pass
    def spoil(model: ir.Model) -> None:
        node = [node for node in model.graph if node.op_type == operator][-1 if last else 0]
        weights = edit.constant(node.inputs[1]).numpy().copy()
        weights.flat[weights.size // 2] += share * weights.std()
        node.replace_input_with(1, edit.numbers(model.graph, "spoilt", weights))

    right = pipeline.passes_for

    def spoilt(form: GraphFormat, phase: PhaseName, *given: PassArguments) -> tuple[Pass, ...]:
        passes = right(form, phase, *given)
        return (spoil, *passes) if phase == "lower" else passes

    monkeypatch.setattr(pipeline, "passes_for", spoilt)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_fault_it_passes_far_within_the_tolerance(
    publish: Export, models: dict[str, keras.Model], mode: str, tmp_path: Path
) -> None:
    entry = publish(models[mode], mode, tmp_path / "bundle")["parity"]
    assert entry["passed"] is True
    assert set(entry["outputs"]) == {"top", "logits"}
    assert all(row["error"] < 1e-5 for row in entry["outputs"].values())
    assert set(entry["before_activation"]) == set(entry["noise"]) == {"top"}
    inner = entry["before_activation"]["top"]
    assert inner["error"] < 1e-5
    assert inner["tolerance"] == pytest.approx(FLOORS["fp32"])
    assert FACTORS["fp32"] * entry["noise"]["top"] < FLOORS["fp32"]
    assert FLOORS["fp32"] < entry["outputs"]["logits"]["tolerance"] < 1.02 * FLOORS["fp32"]


def test_initial_weights_whose_classes_hardly_differ(publish: Export, tmp_path: Path) -> None:
    """Their logits are known as well as float32 probabilities can state them, and no better."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    y = keras.layers.Dense(1000, activation="softmax")(keras.layers.Rescaling(3e-3)(y))
    parity = publish(keras.Model(x, y), "tf", tmp_path / "bundle")["parity"]
    row, inner = parity["outputs"]["logits"], parity["before_activation"]["probabilities"]
    assert FLOORS["fp32"] < row["error"] <= row["tolerance"] < 1e-2
    assert inner["error"] < inner["tolerance"] == pytest.approx(FLOORS["fp32"])


def test_a_softmax_that_saturates_is_judged_by_its_logits(publish: Export, tmp_path: Path) -> None:
    """Most probabilities are 0, so that their logarithms tell nothing."""
    parity = publish(saturated(), "tf", tmp_path / "bundle")["parity"]
    golden = np.load(tmp_path / "bundle" / "golden.npz")["top"]
    assert np.mean(golden == 0) > 0.3
    inner = parity["before_activation"]["top"]
    assert inner["error"] < 1e-5
    assert inner["tolerance"] == pytest.approx(FLOORS["fp32"])


@pytest.mark.parametrize("model", [saturated, badly_conditioned])
def test_a_fault_that_a_hard_model_could_hide(
    model: Callable[[], keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number of the last kernel is off by a hundredth of that kernel's spread."""
    spoil_one_weight(monkeypatch, "Conv", 1e-2, last=True)
    assert "away from Keras" in refused(model(), "tf", tmp_path)


def test_a_right_model_whose_rounding_exceeds_the_floor(publish: Export, tmp_path: Path) -> None:
    parity = publish(badly_conditioned(), "tf", tmp_path / "bundle")["parity"]
    ((name, row),) = parity["outputs"].items()
    assert row["error"] > FLOORS["fp32"]
    assert row["tolerance"] == pytest.approx(FACTORS["fp32"] * parity["noise"][name])


@pytest.mark.parametrize("target", ["cpu-fp32", "trt-fp16"])
@pytest.mark.parametrize("mode", MODES)
def test_the_other_order_of_channels(
    models: dict[str, keras.Model],
    mode: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = pixels.RECIPES[mode]
    swapped = dataclasses.replace(recipe, order=None if recipe.order else (2, 1, 0))
    monkeypatch.setitem(pixels.RECIPES, mode, swapped)
    assert refused(models[mode], mode, tmp_path, target)


@pytest.mark.parametrize("mode", ["caffe", "torch"])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_mean_left_out(
    models: dict[str, keras.Model],
    mode: str,
    channel: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = pixels.RECIPES[mode]
    shift = tuple(0.0 if i == channel else value for i, value in enumerate(recipe.shift))
    monkeypatch.setitem(pixels.RECIPES, mode, dataclasses.replace(recipe, shift=shift))
    assert refused(models[mode], mode, tmp_path)


def test_padding_on_the_wrong_side(
    models: dict[str, keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = padding.padding_of

    def wrong(*args: Any) -> dict[str, Any]:
        pads = right(*args)["pads"]
        half = len(pads) // 2
        return {"pads": [*pads[half:], *pads[:half]]}

    monkeypatch.setattr(padding, "padding_of", wrong)
    assert refused(models["tf"], "tf", tmp_path)


Spoil = Callable[[affine.Affine], affine.Affine]
SPOILT: dict[str, Spoil] = {
    "shift forgotten": lambda step: dataclasses.replace(step, shift=np.zeros_like(step.shift)),
    "scale forgotten": lambda step: dataclasses.replace(step, scale=np.ones_like(step.scale)),
    "epsilon doubled": lambda step: dataclasses.replace(step, scale=step.scale * 0.99),
}


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("which", ["stem_bn", "depthwise_bn"])
def test_one_batch_norm_folded_wrong(
    models: dict[str, keras.Model],
    kind: str,
    which: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = affine._batch_norm

    def wrong(node: ir.Node) -> affine.Affine | None:
        step = right(node)
        return SPOILT[kind](step) if step and (node.name or "").startswith(which) else step

    monkeypatch.setattr(affine, "_batch_norm", wrong)
    assert refused(models["tf"], "tf", tmp_path)


@pytest.mark.parametrize("operator", ["Conv", "Gemm"])
def test_one_weight_off(
    models: dict[str, keras.Model], operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single number of a kernel, off by the spread of that kernel."""
    spoil_one_weight(monkeypatch, operator, 1.0)
    assert refused(models["tf"], "tf", tmp_path)


def faint_scores() -> keras.Model:
    """Build a detector's head whose scores are near 1e-9: ONNX Runtime has 1.5e-8 there."""
    x = keras.Input((12,))
    y = keras.layers.Dense(8, activation="relu")(x)
    model = keras.Model(x, keras.layers.Dense(5, activation="sigmoid")(y))
    hidden, head = model.layers[1:]
    hidden.set_weights([normal(12, 8), normal(8)])
    head.set_weights([normal(8, 5, scale=0.3), np.full(5, -21, np.float32)])
    return model


def test_faint_scores_of_a_sigmoid_are_measured_by_their_logits(
    publish: Export, tmp_path: Path
) -> None:
    entry = publish(faint_scores(), "none", tmp_path / "bundle")["parity"]
    (output,) = entry["outputs"].values()
    (inner,) = entry["before_activation"].values()
    assert 1e-2 < output["error"] <= output["tolerance"]
    assert inner["error"] < 1e-5
    assert inner["tolerance"] == pytest.approx(1e-4)


def test_one_weight_off_below_faint_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_one_weight(monkeypatch, "Gemm", 0.05)
    assert "before its activation" in refused(faint_scores(), "none", tmp_path)


def test_a_graph_that_gives_no_numbers(
    models: dict[str, keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = pixels.RECIPES["tf"]
    spoilt = dataclasses.replace(recipe, scale=(float("nan"),))
    monkeypatch.setitem(pixels.RECIPES, "tf", spoilt)
    assert refused(models["tf"], "tf", tmp_path)


def row(error: float, tolerance: float = 1e-4) -> Row:
    return Row("logits", error, error, tolerance, 1.0)


@pytest.mark.parametrize(
    ("error", "passed"),
    [(0.0, True), (1e-4, True), (1.1e-4, False), (float("inf"), False), (float("nan"), False)],
)
def test_what_passes(error: float, passed: bool) -> None:
    found = compare.Parity(4, (row(0.0), row(error)))
    assert found.passed is passed
    assert found.entry()["passed"] is passed
    if passed:
        compare.require(found, "")
    else:
        with pytest.raises(ParityFailed, match="'logits'"):
            compare.require(found, "")


@pytest.mark.parametrize(
    ("name", "whose"), [("logits", "Keras'"), ("graph:logits", "the quantised graph's")]
)
def test_it_says_whose_answers_are_missed(name: str, whose: str) -> None:
    found = compare.Parity(4, (Row(name, 1.0, 0.5, 0.25, 1.0),))
    with pytest.raises(ParityFailed, match=f"0.5 of its spread away from {whose} on 4 samples"):
        compare.require(found, "")


def test_what_is_pending_has_not_passed() -> None:
    entry = compare.pending(["logits"], 4)
    assert entry["passed"] is False
    assert entry["outputs"]["logits"]["error"] > 1e300


def wide_sigmoid() -> keras.Model:
    """Return a model whose scores saturate: their logits are tens apart."""
    model = keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(5, activation="sigmoid", name="scores")]
    )
    model.layers[0].set_weights([normal(12, 5, scale=10), normal(5)])
    return model


def replace_sigmoid(monkeypatch: pytest.MonkeyPatch, slope: float) -> None:
    """Compute the sigmoid as 1 / (1 + exp(-slope * x)), in which no logits can be read."""

    @Pass
    def decompose(model: ir.Model) -> None:
        (node,) = (node for node in model.graph if node.op_type == "Sigmoid")
        emit = Emitter.before(model.graph, node)
        logits = edit.required(node, 0)
        grown = emit("Exp", emit("Mul", logits, emit.number(-slope, logits)))
        scores = emit("Reciprocal", emit("Add", grown, emit.number(1, logits)))
        edit.take_over(node.outputs[0], scores)
        edit.remove(model.graph, node)

    right = pipeline.passes_for

    def replaced(form: GraphFormat, phase: PhaseName, *given: PassArguments) -> tuple[Pass, ...]:
        passes = right(form, phase, *given)
        return (decompose, *passes) if phase == "lower" else passes

    monkeypatch.setattr(pipeline, "passes_for", replaced)


def test_without_logits_in_the_graph_scores_have_a_tolerance_of_their_own(
    publish: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_sigmoid(monkeypatch, slope=1)
    parity = publish(wide_sigmoid(), "none", tmp_path / "bundle")["parity"]
    assert parity["before_activation"] == {}
    (row,) = parity["outputs"].values()
    assert row["tolerance"] == pytest.approx(FLOORS["fp32"])


def test_a_fault_where_logits_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slope 0.2 % off moves these scores less than a tolerance of their logits would allow."""
    replace_sigmoid(monkeypatch, slope=1.002)
    assert "away from Keras" in refused(wide_sigmoid(), "none", tmp_path)
