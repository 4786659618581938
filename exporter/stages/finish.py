"""Stage 3: from the simplified graph to the one that the target runs, optimised or quantised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from kexport import lint
from kexport.calibration.statistics.float16_guard import Guard
from kexport.errors import BadArgument
from kexport.graph.passes import Artifact
from kexport.options.preprocessing import described
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.source.preprocessing import prepare
from kexport.stages import labelled, measured, optimize, quantize
from kexport.stages.convert import Subject
from kexport.stages.request import Request
from kexport.targets import Target


@dataclass(frozen=True, slots=True)
class Finished:
    """The graph that goes into the bundle."""

    artifact: Artifact
    guard: Guard
    """The nodes that stay in float32 although the target computes in float16."""
    quantized: quantize.QuantizedArtifact | None
    findings: tuple[lint.Finding, ...]
    """Warnings about the graph from the rules of the target's toolchain."""
    accuracy: dict[str, Any] | None = None
    """How right Keras is on the labelled images, where there are some."""


def finish(subject: Subject, request: Request, say: Progress) -> Finished:
    """Optimise the graph for the target, or quantise it for int8, and check the target's rules.

    Raises:
        BadArgument: int8 for a model without an image input, or calibration data of no use.
        QuantizationRefused: int8 misses the accuracy or the speed that was requested.
        GraphRefused: the target's toolchain would not read the graph, or misread it.
    """
    target = request.target
    if target.precision == "int8":
        quantized = _quantized(subject, request, say)
        accuracy = quantized.accuracy
        artifact = optimize.ranked(quantized.artifact, subject.ranking)
        guard = quantized.guard or optimize.beyond_float16(
            artifact.model, target, subject.samples, request.batch
        )
    else:
        quantized = None
        accuracy = _judged(subject, request, say)
        artifact = optimize.ranked(subject.artifact, subject.ranking)
        artifact, guard = optimize.of_floats(artifact, target, subject.samples, request.batch, say)
    findings = _checked(artifact, subject, target)
    return Finished(artifact, guard, quantized, findings, accuracy)


def _judged(subject: Subject, request: Request, say: Progress) -> dict[str, Any] | None:
    """Run Keras on the labelled images of a float export, where there are some.

    Raises:
        BadArgument: the model has no image input, the task has no measure, the images cannot be
            used, or as `labelled.check`.
    """
    calibration, samples = request.calibration, subject.samples
    if calibration.eval_data is None:
        return None
    if samples.pixels is None:
        raise BadArgument(
            f"model {subject.model.name!r} has no image input for `calibration.eval_data`",
            hint="leave it out",
        )
    data = measured.find(subject, request)
    if data is not None:
        return measured.of_keras(data, subject, request, say)
    classes = labelled.classes_of(subject.outputs, subject.labels)
    settled = subject.preprocessing
    name = described(settled.mode)
    found = settled.answers
    if found is None:
        found = labelled.answers(
            channels_last(subject.model),
            subject.artifact.model,
            calibration.eval_data,
            classes,
            labelled.form_of(subject.model, request.image_input),
            {name: partial(prepare, mode=settled.mode)},
            seed=request.recipe.seed,
            say=say,
        )[name]
    return labelled.check(found, classes, random=subject.source.weights == "random")


def _quantized(subject: Subject, request: Request, say: Progress) -> quantize.QuantizedArtifact:
    samples, source = subject.samples, subject.source
    if samples.pixels is None:
        raise BadArgument(
            f"model {subject.model.name!r} has no image input, and int8 is for models that do",
            hint="choose fp32 or fp16",
        )
    height, width, channels = samples.prepared[0].shape[1:]
    return quantize.quantize(
        quantize.ImageModel(
            channels_last(subject.model),
            subject.artifact,
            subject.outputs,
            subject.labels,
            subject.preprocessing.mode,
            samples.pixels,
            (height, width, channels),
            random=source.weights == "random",
            seed=request.recipe.seed,
            labelled=measured.find(subject, request),
        ),
        request.target,
        request.calibration,
        local=request.is_local,
        say=say,
    )


def _checked(artifact: Artifact, subject: Subject, target: Target) -> tuple[lint.Finding, ...]:
    """Return the warnings of the target's toolchain; raise GraphRefused for its errors."""
    if target.toolchain is None:
        return ()
    findings = lint.find(artifact.model, target.platform)
    lint.require(findings, f"{subject.source.name} for {target.name}", target.platform)
    return findings
