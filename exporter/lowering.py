"""From the converted model to the graph that a target reads in floating point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import onnx_ir as ir

from kexport import pipeline
from kexport.artifact import Artifact
from kexport.calibration.float16 import Guard, guard
from kexport.calibration.observe import observe
from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.passes.top_k import top_k
from kexport.pixels import Pixels
from kexport.ranking import Ranking
from kexport.samples import Samples
from kexport.targets import Target

Batch = int | Literal["dynamic"]
Progress = Callable[[str], None]


def readable(pixels: Pixels, target: Target) -> Pixels:
    """The same in float32 where the target's toolchain takes no uint8."""
    if target.uint8_input:
        return pixels
    if pixels.subsampled:
        raise BadArgument(
            f"{pixels.form} is bytes, and {target.toolchain} takes no uint8",
            hint="choose --input-format rgb, or a toolchain with TensorRT 8.5 or newer",
        )
    return replace(pixels, dtype="float32")


def simplified(
    converted: Converted,
    inputs: Samples,
    batch: Batch,
    say: Progress,
) -> Artifact:
    """The graph with the batch and the inputs that the bundle takes, simplified."""
    fixed = None if batch == "dynamic" else batch
    passes = (
        pipeline.with_tensor_inputs(fixed)
        if inputs.pixels is None
        else pipeline.with_image_input(inputs.mode, fixed, inputs.pixels)
    )
    return pipeline.run(converted.model, passes, say)


def ranked(artifact: Artifact, ranking: Ranking | None) -> Artifact:
    """The graph with the best classes in the place of all, where a ranking is asked for."""
    if ranking is None:
        return artifact
    return pipeline.continue_with(artifact, (top_k(ranking.output.name, ranking.count),))


def of_floats(
    artifact: Artifact,
    target: Target,
    opset: int,
    inputs: Samples,
    batch: Batch,
    say: Progress,
) -> tuple[Artifact, Guard]:
    """The target's graph, and what of it stays in float32 although the target is fp16."""
    if target.precision == "fp32":
        passes = pipeline.for_float32(opset, target.rules, blocked=target.blocked_layout)
        return pipeline.continue_with(artifact, passes, say), Guard()
    artifact = pipeline.continue_with(artifact, pipeline.BEFORE_FLOAT16, say)
    say("observing the values of every tensor")
    fixed = None if batch == "dynamic" else batch
    seen = guard(artifact.model, observe(artifact.model, inputs.of_batch(fixed)))
    names = frozenset(node.node for node in seen.kept)
    passes = pipeline.for_float16(opset, names, target.rules)
    return pipeline.continue_with(artifact, passes, say), seen


def beyond_float16(model: ir.Model, target: Target, inputs: Samples, batch: Batch) -> Guard:
    """The nodes of an int8 graph that the target's builder must not turn into float16.

    Only a builder that chooses types itself (TensorRT 8) could.
    """
    if target.rules is None or target.rules.typing != "weak":
        return Guard()
    fixed = None if batch == "dynamic" else batch
    return guard(model, observe(model, inputs.of_batch(fixed)))
