"""Stage 3: from the simplified graph to the one that the target runs, optimised or quantised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kexport import lint
from kexport.bundle import trtexec
from kexport.calibration.statistics.float16_guard import LARGEST, Guard
from kexport.errors import GraphRefused
from kexport.graph.passes import Artifact
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.stages import optimize, quantize
from kexport.stages.convert import Subject
from kexport.stages.judged import find, judge, require_image
from kexport.stages.model_input import inputs_of
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
    """How right Keras is on the labelled images, where there are some, and a float graph."""


def finish(subject: Subject, request: Request, say: Progress) -> Finished:
    """Optimise the graph for the target, or quantise it for int8, and check the target's rules.

    Raises:
        BadArgument: calibration data of no use.
        QuantizationRefused: int8 misses the accuracy or the speed that was requested.
        GraphRefused: the target's toolchain would not read the graph, or misread it, or could not
            keep a layer in float32 whose values float16 does not hold.
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
        artifact = optimize.ranked(subject.artifact, subject.ranking)
        artifact, guard = optimize.of_floats(artifact, target, subject.samples, request.batch, say)
        accuracy = judge(subject, request, artifact.model, say)
    _require_range(guard, subject, target)
    findings = _checked(artifact, subject, target)
    return Finished(artifact, guard, quantized, findings, accuracy)


def _quantized(subject: Subject, request: Request, say: Progress) -> quantize.QuantizedArtifact:
    samples, source = subject.samples, subject.source
    image = None if request.calibration.eval_data is None else require_image(subject)
    return quantize.quantize(
        quantize.FloatModel(
            channels_last(subject.model),
            subject.artifact,
            subject.outputs,
            subject.task,
            subject.labels,
            inputs_of(subject.model, samples),
            random=source.weights == "random",
            seed=request.recipe.seed,
            labelled=None if image is None else find(subject, image, request),
        ),
        request.target,
        request.calibration,
        local=request.is_local,
        say=say,
    )


def _require_range(guard: Guard, subject: Subject, target: Target) -> None:
    """Raise GraphRefused for values beyond float16 where no layer can be kept in float32.

    The graph keeps it, and so does ONNX Runtime, which proves the bundle; but a builder that
    chooses the types itself, and cannot be told, gives infinities.
    """
    largest = guard.largest
    if target.toolchain is None or largest is None or largest.value <= LARGEST:
        return
    if not trtexec.keeps_layers(target.toolchain):
        raise GraphRefused(
            f"{subject.source.name} for {target.name}: {largest.tensor} reaches "
            f"{largest.value:.2g}, and float16 holds 65504 at most; {target.toolchain} cannot keep "
            "a layer in float32",
            hint=f"export it to {target.device}-fp32",
        )


def _checked(artifact: Artifact, subject: Subject, target: Target) -> tuple[lint.Finding, ...]:
    """Return the warnings of the target's toolchain; raise GraphRefused for its errors."""
    if target.toolchain is None:
        return ()
    findings = lint.find(artifact.model, target.platform, profiled=True)
    lint.require(findings, f"{subject.source.name} for {target.name}", target.platform)
    return findings
