"""The Python interface: one call for the whole road from a model to a bundle."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import onnx
import onnx_ir as ir

import kexport
from kexport import labels as label_files
from kexport import parity, pipeline, samples, targets
from kexport.artifact import Artifact
from kexport.calibration.float16 import Kept, keep_float32
from kexport.calibration.observe import observe
from kexport.conversion import Converted, convert_model
from kexport.emit import bundle as files
from kexport.emit import manifest as entries
from kexport.emit.folder import publish, refuse_existing, staging
from kexport.errors import BadArgument
from kexport.passes.lower_opset import HIGHEST, LOWEST
from kexport.recipe import Recipe
from kexport.source import Source, open_model
from kexport.taps import at_layers
from kexport.targets import Target

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder, and its manifest as written."""

    path: Path
    manifest: dict[str, Any]


def convert(model: keras.Model, *, opset: int = HIGHEST) -> onnx.ModelProto:
    """Convert a Keras model to ONNX, simplified: what `model.export(format="onnx")` is for.

    Inputs and outputs are those of the model, in Keras' own layout; nothing is preprocessed. Open
    axes stay open, the batch under the name "batch".

    Args:
        model: a built Keras model.
        opset: the ONNX opset to write, 13 to 20.

    Raises:
        UnsupportedModel: the model is not built, or a layer has no ONNX form.
        BadArgument: an opset that kexport does not write.
    """
    _check_opset(opset)
    converted = convert_model(model)
    passes = (*pipeline.with_tensor_inputs(None), *pipeline.for_float32(opset))
    return ir.to_proto(pipeline.run(converted.model, passes).model)


def export(
    model: str | Path | keras.Model,
    target: str,
    *,
    output: Path | None = None,
    recipe: Recipe | None = None,
    batch: int | Literal["dynamic"] = 1,
    opset: int | None = None,
    labels: Path | None = None,
    output_layers: Sequence[str] = (),
    force: bool = False,
    timestamps: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Export a model to a bundle that runs on `target`, proven equal to Keras.

    Args:
        model: an Application's name, a .keras or .h5 file, or a Keras model.
        target: `<device>-<precision>`, such as "trt-fp16".
        output: the bundle's folder; `<model>-<target>` by default.
        recipe: what to build or load, and how its pictures are preprocessed.
        batch: samples at a time, or "dynamic".
        opset: another ONNX opset than the target's.
        labels: a file with one class name a line.
        output_layers: names of the layers whose outputs the bundle gives, instead of the model's
            own.
        force: replace a bundle that is there, once the new one is whole.
        timestamps: record when, and how long; the same command then gives other bytes each time.
        progress: called with a few words at the start of every step.

    Raises:
        KexportError: in one of its kinds (see kexport.errors), with nothing published.
    """
    say = progress or _silent
    recipe = recipe or Recipe()
    chosen = targets.find(target)
    chosen_opset = chosen.opset if opset is None else _check_opset(opset)
    if output is not None:
        refuse_existing(output, force=force)
    say("building the model")
    source = open_model(model, recipe)
    folder = output or Path(f"{source.name}-{chosen.name}")
    refuse_existing(folder, force=force)
    names = label_files.choose(source.labels, labels)
    tapped = at_layers(source.model, output_layers)
    say("converting")
    converted = convert_model(tapped, kind=None if output_layers else source.kind)
    names = label_files.fit(names, converted, labels)
    inputs = samples.make(tapped, source.mode, recipe.seed)
    artifact, kept = _graph(converted, chosen, chosen_opset, inputs, batch, say)
    with staging(folder) as work:
        say("running Keras for comparison")
        outputs = [output.name for output in converted.outputs]
        golden = {**inputs.raw, **parity.reference(tapped, inputs.prepared, outputs)}
        say("writing the bundle")
        said = _entries(source, chosen, chosen_opset, converted, artifact, kept, inputs)
        said["created"] = _now() if timestamps else None
        said["steps"] = entries.step_entries(artifact.steps, times=timestamps)
        tolerance = parity.TOLERANCES[chosen.precision]
        kinds = {output.name: output.kind for output in converted.outputs}
        said["parity"] = parity.pending(outputs, inputs.count, tolerance)
        files.write_files(work, artifact.model, said, golden, names)
        entries.write_manifest(work, said)
        say("proving it equal to Keras")
        measured = parity.measure(work, golden, kinds, tolerance)
        manifest = entries.write_manifest(work, {**said, "parity": measured.entry()})
        rejected = folder.with_name(f"{folder.name}.rejected")
        publish(work, folder if measured.passed else rejected)
        parity.require(measured, rejected)
    return Bundle(folder, manifest)


def _graph(
    converted: Converted,
    target: Target,
    opset: int,
    inputs: samples.Samples,
    batch: int | Literal["dynamic"],
    say: Progress,
) -> tuple[Artifact, tuple[Kept, ...]]:
    """The target's graph, and the nodes of it that stay in float32 although the target is fp16."""
    fixed = None if batch == "dynamic" else batch
    passes = (
        pipeline.with_image_input(inputs.mode, fixed)
        if inputs.image
        else pipeline.with_tensor_inputs(fixed)
    )
    artifact = pipeline.run(converted.model, passes, say)
    if target.precision == "fp32":
        return pipeline.continue_with(artifact, pipeline.for_float32(opset), say), ()
    artifact = pipeline.continue_with(artifact, pipeline.BEFORE_FLOAT16, say)
    say("observing the values of every tensor")
    kept = keep_float32(artifact.model, observe(artifact.model, inputs.of_batch(fixed)))
    names = frozenset(node.node for node in kept)
    return pipeline.continue_with(artifact, pipeline.for_float16(opset, names), say), kept


def _entries(
    source: Source,
    target: Target,
    opset: int,
    converted: Converted,
    artifact: Artifact,
    kept: Sequence[Kept],
    inputs: samples.Samples,
) -> dict[str, Any]:
    """The manifest's entries, in its order, but for files and what `export` fills in."""
    graph = artifact.model.graph
    return {
        "schema": 1,
        "kexport": kexport.__version__,
        "created": None,
        "model": {
            "name": source.name,
            "source": source.source,
            "sha256": source.sha256,
            "weights": source.weights,
            "traced": list(converted.traced),
        },
        "target": entries.target_entry(target, opset),
        "inputs": [entries.input_entry(value, image=inputs.image) for value in graph.inputs],
        "outputs": [
            entries.output_entry(value, output.kind, output.layer)
            for value, output in zip(graph.outputs, converted.outputs, strict=True)
        ],
        "preprocessing": {
            "mode": source.mode,
            "folded": _is_folded(graph.inputs[0]),
        },
        "parity": None,
        "quantization": None,
        "float32_nodes": [asdict(node) for node in kept],
        "steps": [],
        "versions": entries.versions(),
    }


def _is_folded(pixels: ir.Value) -> bool:
    """Whether the first weights read the input itself, but for its layout and type."""
    readers = [use.node for use in pixels.uses()]
    if all(node.op_type in ("Cast", "Transpose") for node in readers):
        return all(_is_folded(node.outputs[0]) for node in readers)
    return all(node.op_type in ("Conv", "Gemm", "MatMul") for node in readers)


def _check_opset(opset: int) -> int:
    if not LOWEST <= opset <= HIGHEST:
        raise BadArgument(
            f"opset {opset} is not written by kexport",
            hint=f"choose one of {LOWEST} to {HIGHEST}, or leave --opset to the target",
        )
    return opset


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _silent(step: str) -> None:
    del step
