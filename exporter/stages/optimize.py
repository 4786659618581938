"""Optimization of the converted graph: simplified, then in the form that a target reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import batches_of, feeds_of
from kexport.calibration.statistics.abs_max import observe
from kexport.calibration.statistics.float16_guard import Guard, guard
from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.graph.passes import Artifact
from kexport.options.batch import Batch
from kexport.options.image_input import ImageInput
from kexport.outputs import Ranking
from kexport.parity.samples import Samples
from kexport.passes import pipeline
from kexport.passes.pipeline import GraphFormat, PassArguments
from kexport.progress import Progress
from kexport.targets import Target

OBSERVED_IMAGES = 8
"""Calibration images on which the float16 range of an int8 graph is observed."""


def readable(pixels: ImageInput, target: Target) -> ImageInput:
    """Fall back to float32 input on toolchains that take no uint8 (TensorRT before 8.5).

    Raises:
        BadArgument: the format exists in bytes only.
    """
    if target.uint8_input:
        return pixels
    if pixels.subsampled:
        raise BadArgument(
            f"{pixels.form} is bytes, and {target.toolchain} takes no uint8",
            hint="choose `image_input.format='rgb'`, or a toolchain with TensorRT 8.5 or newer",
        )
    return replace(pixels, dtype="float32")


def simplified(converted: Converted, inputs: Samples, batch: Batch, progress: Progress) -> Artifact:
    """Return the graph with the batch and the inputs of the bundle, simplified."""
    given = PassArguments(fixed(batch), inputs.images)
    passes = pipeline.passes_for(GraphFormat(), "simplify", given)
    return pipeline.run(converted.model, passes, progress)


def ranked(artifact: Artifact, ranking: Ranking | None) -> Artifact:
    """Return the graph with the best classes instead of all scores, if they are requested."""
    top_k = None if ranking is None else (ranking.output.name, ranking.count)
    given = PassArguments(top_k=top_k)
    passes = pipeline.passes_for(GraphFormat(), "add best classes", given)
    return pipeline.continue_with(artifact, passes)


def of_floats(
    artifact: Artifact,
    target: Target,
    inputs: Samples,
    batch: Batch,
    progress: Progress,
) -> tuple[Artifact, Guard]:
    """Return the graph of an fp32 or fp16 target, and its nodes that stay in float32."""
    form = GraphFormat.of(target)
    if form.precision == "fp32":
        passes = pipeline.passes_for(form, "lower")
        return pipeline.continue_with(artifact, passes, progress), Guard()
    return _to_float16(artifact, form, inputs.batches(fixed(batch)), progress)


def halve(
    artifact: Artifact, form: GraphFormat, images: Inputs, progress: Progress
) -> tuple[Artifact, Guard]:
    """Convert the part of an int8 graph that is not integers to float16.

    Args:
        artifact: a finished graph of opset 19 or higher, whose scales float16 represents.
        form: the format of the target.
        images: samples as the graph takes them; the first `OBSERVED_IMAGES` are run.
        progress: called with a few words when a step starts.

    Returns:
        The graph, and its nodes that stay in float32.
    """
    feeds = list(feeds_of(batches_of(artifact.model, images[:OBSERVED_IMAGES])))
    return _to_float16(artifact, form, feeds, progress)


def _to_float16(
    artifact: Artifact,
    form: GraphFormat,
    feeds: Sequence[Mapping[str, Array]],
    progress: Progress,
) -> tuple[Artifact, Guard]:
    passes = pipeline.passes_for(form, "prepare float16")
    artifact = pipeline.continue_with(artifact, passes, progress)
    progress("observing the values of every tensor")
    found = guard(artifact.model, observe(artifact.model, *feeds))
    given = PassArguments(float32_nodes=frozenset(node.node for node in found.kept))
    passes = pipeline.passes_for(form, "convert to float16", given)
    return pipeline.continue_with(artifact, passes, progress), found


def beyond_float16(model: ir.Model, target: Target, inputs: Samples, batch: Batch) -> Guard:
    """Find the nodes of an int8 graph that the target's builder must not convert to float16.

    There are none unless the builder chooses the types itself, as that of TensorRT 8 does.
    """
    if target.rules is None or target.rules.typing != "weak":
        return Guard()
    return guard(model, observe(model, *inputs.batches(fixed(batch))))


def fixed(batch: Batch) -> int | None:
    """Return the size of a fixed batch; None for an open one."""
    return None if batch == "dynamic" else batch
