"""From the converted model to the graph that a target reads in floating point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import Batches
from kexport.calibration.progress import Say
from kexport.calibration.statistics.abs_max import observe
from kexport.calibration.statistics.float16_guard import Guard, guard
from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.graph.passes import Artifact
from kexport.options.image_input import ImageInput
from kexport.outputs import Ranking
from kexport.parity.samples import Samples
from kexport.passes import pipeline
from kexport.passes.add_top_k import top_k
from kexport.targets import Target

OBSERVED = 8
"""Images on which is seen what float16 cannot hold."""


def halve(artifact: Artifact, images: Array, say: Say) -> tuple[Artifact, Guard]:
    """The graph with float16 scales, weights and arithmetic, and what stays in float32.

    Args:
        artifact: a finished graph of opset 19 or higher, whose scales float16 holds.
        images: images as it takes them, batch first; the first `OBSERVED` are run.
        say: called with a few words at the start of every step.
    """
    artifact = pipeline.continue_with(artifact, pipeline.BEFORE_FLOAT16, say)
    say("observing the values of every tensor")
    (given,) = artifact.model.graph.inputs
    batches = Batches(artifact.model, images[:OBSERVED])
    feeds = [{given.name or "": batch} for batch in batches]
    seen = guard(artifact.model, observe(artifact.model, *feeds))
    passes = pipeline.rest_in_float16(frozenset(node.node for node in seen.kept))
    return pipeline.continue_with(artifact, passes, say), seen


Batch = int | Literal["dynamic"]
Progress = Callable[[str], None]


def readable(pixels: ImageInput, target: Target) -> ImageInput:
    """The same in float32 where the target's toolchain takes no uint8."""
    if target.uint8_input:
        return pixels
    if pixels.subsampled:
        raise BadArgument(
            f"{pixels.form} is bytes, and {target.toolchain} takes no uint8",
            hint='choose `image_input.format="rgb"`, or a toolchain with TensorRT 8.5 or newer',
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
