"""INT8 export: the dataset, evaluator and criterion of accuracy control, and its manifest entry."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.calibration import (
    Criterion,
    Dataset,
    Evaluator,
    QuantizedModel,
    quantize_with_accuracy_control,
)
from kexport.calibration.accuracy import report
from kexport.calibration.accuracy.criterion import criterion_for
from kexport.calibration.accuracy.evaluator import output_kind
from kexport.calibration.accuracy.latency import Speed, compare_latency, require_speedup
from kexport.calibration.accuracy.refusal import accuracy_refusal
from kexport.calibration.accuracy.search import SearchStep
from kexport.calibration.accuracy.task_gate import TaskEvaluator, task_criterion
from kexport.calibration.dataset.images import (
    MIN_IMAGES,
    ImageForm,
    Images,
    load_images,
    split_images,
)
from kexport.calibration.dataset.inputs import load_samples, split_samples
from kexport.calibration.execution.rows import Rows
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import Say, percent_progress
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.quantizer.tensorrt import TENSORRT_EXPLICIT, TENSORRT_STRONGLY_TYPED
from kexport.calibration.statistics.float16_guard import Guard
from kexport.graph import save
from kexport.graph.passes import Artifact, Step
from kexport.measures.judge import Judge
from kexport.options.calibration import Calibration
from kexport.outputs import Output
from kexport.passes import pipeline
from kexport.passes.pipeline import GraphFormat
from kexport.stages import labelled, measured
from kexport.stages.keras_runner import runner_for
from kexport.stages.model_input import ModelInput, prepare_all
from kexport.stages.optimize import halve
from kexport.targets import Target

CALIBRATION_IMAGES, EVALUATION_IMAGES = 100, labelled.MOST_IMAGES
"""The largest numbers of images to calibrate on, and to judge on, with labels or without."""

SCHEMES = {
    "onnxruntime": ONNXRUNTIME_CPU,
    "tensorrt": TENSORRT_EXPLICIT,
    "tensorrt_rtx": TENSORRT_EXPLICIT,
}
"""The quantization scheme of each engine."""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A model to quantize: in Keras, as a graph, and what its inputs take."""

    model: keras.Model
    """The Keras model, with images as [N, H, W, C]."""
    artifact: Artifact
    """The simplified float32 graph, with the bundle's inputs."""
    shown: Sequence[Output]
    task: Mapping[str, Any]
    """The manifest's entry of what the outputs are for."""
    labels: Sequence[str] | None
    inputs: tuple[ModelInput, ...]
    random: bool
    """Whether the weights are random, so that classes are meaningless."""
    seed: int
    labelled: measured.Labelled | None = None
    """Labelled images of a task other than classify, where there are some."""

    @property
    def image(self) -> ModelInput | None:
        """The image that is the only input; None for a model of anything else."""
        (first, *others) = self.inputs
        return None if others or first.image is None else first


@dataclass(frozen=True, slots=True)
class QuantizedArtifact:
    """A quantized graph, its manifest entry, and its speed where it was measured."""

    artifact: Artifact
    entry: dict[str, Any]
    speed: Speed | None
    guard: Guard | None
    """The nodes that stay float32; None if the graph has no float16."""
    in_float32: ir.Model
    """The quantized graph before its float nodes became float16."""
    accuracy: dict[str, Any] | None
    """How right Keras is on the labelled images, where there are some."""
    shipped: Rows
    """Held-out samples that go into the bundle, as its graph takes them; often none."""


def quantize(
    subject: FloatModel,
    target: Target,
    calibration: Calibration,
    *,
    local: bool,
    say: Say,
) -> QuantizedArtifact:
    """Calibrate and quantize a model, and repair it until its accuracy suffices.

    Args:
        subject: the model.
        target: the target of the export.
        calibration: the options, which `options.calibration.check` has accepted.
        local: whether the target is like this machine, so that it can be timed here.
        say: called with a few words at the start of every step.

    Raises:
        BadArgument, OutputFailed: the images or the cache cannot be used.
        UnsupportedModel: the model gives NaN or infinity on the images.
        QuantizationRefused: the required accuracy or speed is not reached.
    """
    scheme = _scheme(target)
    started = time.perf_counter()
    form = GraphFormat.of(target)
    passes = pipeline.passes_for(form, "prepare int8")
    artifact = pipeline.continue_with(subject.artifact, passes, say)
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        calibration_set, evaluation_set = _load(subject, calibration, Path(scratch), say)
        images = calibration_set.rows
        dataset = Dataset(images, _evaluator(subject, evaluation_set, say))
        accuracy = _accuracy(subject, dataset.evaluator)
        criterion = _criterion(dataset.evaluator, calibration.max_drop, random=subject.random)
        found = quantize_with_accuracy_control(
            artifact.model,
            dataset,
            scheme,
            criterion,
            method=calibration.method,
            cache=None if calibration.cache is None else Path(calibration.cache),
            int8_share=calibration.int8_share,
            say=say,
        )
        finish = pipeline.passes_for(form, "finish int8")
        if not found.meets_criterion:

            def timed(model: ir.Model) -> Speed | None:
                if not local:
                    return None
                finished = pipeline.run(model, finish).model
                return _measure_speed(_float_model(subject, target), finished, images, say)

            raise accuracy_refusal(criterion, found, calibration.int8_share, timed)
        seconds = time.perf_counter() - started
        step = Step("quantize", seconds, len(artifact.model.graph), len(found.model.graph))
        whole = Artifact(found.model, (*artifact.steps, step))
        whole = pipeline.continue_with(whole, finish, say)
        in_float32, guard = whole.model, None
        if scheme.float16_scales:
            whole, guard, found = _halve_rest(whole, form, found, dataset, criterion, say)
        quality, evaluator = found.quality, dataset.evaluator
        floating = _float_model(subject, target)
        float_bytes = save.bytes_of(floating)
        shipped = _held(evaluation_set.rows[: calibration.ship_images])
        of_int8 = _labelled(evaluator, quality)
        speed = _measure_speed(floating, whole.model, images, say) if local else None
    require_speedup(speed, calibration.require_speedup, target.name)
    entry = {
        "method": calibration.method,
        "images": len(images),
        "judged_on": len(evaluator.images),
        "skipped": [*calibration_set.skipped, *evaluation_set.skipped],
        "gate": {**criterion.entry(quality), "int8_share": calibration.int8_share},
        "keras": None if of_int8 is None else report.quality_entry(criterion.reference),
        "labelled": of_int8,
        "float_bytes": float_bytes,
        "shipped": len(shipped),
        **report.entries(found, scheme, artifact.model),
    }
    return QuantizedArtifact(whole, entry, speed, guard, in_float32, accuracy, shipped)


def _held(rows: Rows) -> Rows:
    """Return samples in memory, which outlive the files that they come from."""
    return Rows({name: np.array(array) for name, array in rows.arrays.items()})


def _scheme(target: Target) -> Scheme:
    return TENSORRT_STRONGLY_TYPED if target.half_rest else SCHEMES[target.engine]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Samples as the graph takes them.

    `labels` has the class of each where classes are known; `judge` knows what is right for them
    where they are the labelled images of another task.
    """

    rows: Rows
    skipped: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    judge: Judge | None = None


def _load(
    subject: FloatModel, calibration: Calibration, scratch: Path, say: Say
) -> tuple[_Loaded, _Loaded]:
    """Load the samples to calibrate on, and those to evaluate on."""
    if calibration.data is None:
        raise ValueError("there is nothing to calibrate on")
    if subject.image is None:
        return _load_samples(subject, calibration.data, say)
    image, form, larger = subject.image, subject.image.form, subject.image.calibrating
    assert isinstance(form, ImageForm), "an image has the form of one"
    assert isinstance(larger, ImageForm), "an image has the form of one"
    load = partial(
        load_images,
        calibration.data,
        larger,
        seed=subject.seed,
        scratch=scratch,
        progress=percent_progress(say, "decoding the calibration images"),
    )

    def encoded(images: Images, judge: Judge | None = None) -> _Loaded:
        rows = Rows({image.name: image.encoded(images.images)})
        return _Loaded(rows, images.skipped, images.labels if judge is None else None, judge)

    if calibration.eval_data is None:
        found = load(limit=CALIBRATION_IMAGES + EVALUATION_IMAGES)
        calibrating, judged = split_images(found, subject.seed, largest=CALIBRATION_IMAGES)
        return encoded(calibrating), encoded(judged)
    if subject.labelled is not None:
        judged = subject.labelled.load(form, scratch, say)
        judge = subject.labelled.judge(judged, form)
        return encoded(load(limit=CALIBRATION_IMAGES)), encoded(judged, judge)
    classes = labelled.classes_of(subject.shown, subject.labels)
    judged = labelled.load(
        calibration.eval_data, classes, form, seed=subject.seed, scratch=scratch, say=say
    )
    return encoded(load(limit=CALIBRATION_IMAGES)), encoded(judged)


def _load_samples(subject: FloatModel, source: Any, say: Say) -> tuple[_Loaded, _Loaded]:
    """Load the samples of a model of several inputs, or of numbers."""
    found = load_samples(
        source,
        {one.name: one.calibrating for one in subject.inputs},
        limit=CALIBRATION_IMAGES + EVALUATION_IMAGES,
        seed=subject.seed,
        least=MIN_IMAGES,
        progress=percent_progress(say, "reading the calibration samples"),
    )
    halves = split_samples(found, subject.seed, largest=CALIBRATION_IMAGES)
    calibrating, judged = (
        _Loaded(
            Rows({one.name: one.encoded(half.arrays[one.name]) for one in subject.inputs}),
            half.skipped,
        )
        for half in halves
    )
    return calibrating, judged


def _evaluator(subject: FloatModel, evaluation_set: _Loaded, say: Say) -> Evaluator:
    """Run Keras on the evaluation samples, as the reference of the quantized models."""
    rows, judge, first = evaluation_set.rows, evaluation_set.judge, subject.shown[0]
    runner = runner_for(subject.model, subject.artifact.model, len(rows))
    prepared, kind = partial(prepare_all, subject.inputs), output_kind(first, subject.task)
    if judge is not None:
        found = list(measured.answers(judge, subject.shown, runner, rows, prepared, say))
        reference = np.concatenate([output for _, output in found])
        kept = tuple(one for some, _ in found for one in some)
        return TaskEvaluator(
            rows, reference, output_kind(first, subject.task), judge=judge, kept=kept
        )
    scores = runner.first_output(rows, prepared, say, "running Keras on the held-out images")
    labels = None if evaluation_set.labels is None else np.asarray(evaluation_set.labels)
    return Evaluator(rows, scores, kind, labels)


def _accuracy(subject: FloatModel, evaluator: Evaluator) -> dict[str, Any] | None:
    """Check Keras on the labelled images; return how right it is, for the manifest.

    Raises:
        BadArgument: as `labelled.check`.
    """
    if isinstance(evaluator, TaskEvaluator):
        return measured.check(evaluator.judge, evaluator.kept)
    if evaluator.labels is None:
        return None
    classes = labelled.classes_of(subject.shown, subject.labels)
    answers = labelled.Answers(evaluator.reference, evaluator.labels)
    return labelled.check(answers, classes, random=subject.random)


def _criterion(evaluator: Evaluator, max_drop: float, *, random: bool) -> Criterion:
    if isinstance(evaluator, TaskEvaluator):
        return task_criterion(evaluator, max_drop)
    return criterion_for(evaluator, max_drop, random=random)


def _labelled(evaluator: Evaluator, quality: Quality) -> dict[str, Any] | None:
    """Return how right the quantized model is on the labelled images, for the manifest."""
    if isinstance(evaluator, TaskEvaluator):
        return evaluator.entry(quality)
    if quality.top1 is None:
        return None
    right = round(quality.top1 * quality.images)
    return labelled.top1_entry(right, quality.images)


def _halve_rest(
    artifact: Artifact,
    form: GraphFormat,
    found: QuantizedModel,
    dataset: Dataset,
    criterion: Criterion,
    say: Say,
) -> tuple[Artifact, Guard | None, QuantizedModel]:
    """Convert the float nodes to float16, unless the result fails the criterion."""
    halved, guard = halve(artifact, form, dataset.images, say)
    quality = dataset.evaluator.evaluate(halved.model)
    is_met = criterion.is_met(quality)
    step = SearchStep("the rest in float16", quality, is_met)
    found = replace(found, steps=(*found.steps, step))
    if not is_met:
        return artifact, None, found
    return halved, guard, replace(found, quality=quality)


def _float_model(subject: FloatModel, target: Target) -> ir.Model:
    """Return the float32 graph of the same device, to compare sizes and times with."""
    passes = pipeline.passes_for(replace(GraphFormat.of(target), precision="fp32"), "lower")
    return pipeline.continue_with(subject.artifact, passes).model


def _measure_speed(floating: ir.Model, model: ir.Model, images: Rows, say: Say) -> Speed:
    """Time the quantized model against the float32 graph of the same device."""
    say("timing int8 against fp32")
    return compare_latency(floating, model, images)
