"""The Python interface: one call for the whole road from a model to a bundle."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import onnx_ir as ir

import kexport
from kexport import check as rules
from kexport import labels as label_files
from kexport import parity, pipeline, samples, targets
from kexport.artifact import Artifact
from kexport.calibration.float16 import Kept, keep_float32
from kexport.calibration.observe import observe
from kexport.conversion import Converted, convert_model
from kexport.direct import check_opset
from kexport.emit import bundle as files
from kexport.emit import manifest as entries
from kexport.emit.folder import publish, refuse_existing, staging
from kexport.errors import BadArgument
from kexport.passes.image_input import is_folded
from kexport.passes.sampling import POSITIONS
from kexport.passes.top_k import top_k as best
from kexport.pixels import Pixels
from kexport.ranking import Ranking, Shown, best_classes
from kexport.recipe import Recipe
from kexport.source import Source, open_model
from kexport.taps import at_layers
from kexport.targets import Target
from kexport.twins import channels_last

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder, and its manifest as written."""

    path: Path
    manifest: dict[str, Any]


def export(
    model: str | Path | keras.Model,
    target: str,
    *,
    output: str | Path | None = None,
    recipe: Recipe | None = None,
    batch: int | Literal["dynamic"] = 1,
    jetpack: str | None = None,
    tensorrt: str | None = None,
    opset: int | None = None,
    labels: label_files.Said | None = None,
    output_layers: Sequence[str] = (),
    pixels: Pixels | None = None,
    top_k: int | None = None,
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
        jetpack: the JetPack on the device, or the beginning of its version: "5.1" means the newest
            5.1.x that the device can run; the newest of all by default.
        tensorrt: the same for TensorRT.
        opset: another ONNX opset than the target's.
        labels: the class names: a file with one a line, a training folder with one subfolder a
            class, "imagenet", or the names themselves.
        output_layers: names of the layers whose outputs the bundle gives, instead of the model's
            own.
        pixels: how the pictures arrive, and how they become as large as the model's; RGB or grey of
            its size by default.
        top_k: give this many best classes, as `indices` and `scores`, in the place of the scores of
            all.
        force: replace a bundle that is there, once the new one is whole.
        timestamps: record when, and how long; the same command then gives other bytes each time.
        progress: called with a few words at the start of every step.

    Raises:
        KexportError: in one of its kinds (see kexport.errors), with nothing published.
    """
    say = progress or _silent
    recipe = recipe or Recipe()
    chosen = targets.find(target, jetpack=jetpack, tensorrt=tensorrt)
    chosen_opset = _opset(opset, chosen)
    if output is not None:
        refuse_existing(Path(output), force=force)
    given = None if labels is None else label_files.read(labels)
    say("building the model")
    source = open_model(model, recipe)
    folder = Path(output or f"{source.name}-{chosen.name}")
    refuse_existing(folder, force=force)
    tapped = at_layers(source.model, output_layers)
    say("converting")
    converted = convert_model(tapped, kind=None if output_layers else source.kind)
    names = label_files.fit(given or source.labels, converted, labels)
    shown = _shown(converted)
    ranking = None if top_k is None else best_classes(shown, top_k)
    if samples.is_image_model(tapped):
        pixels = _readable(pixels or Pixels(), chosen)
    inputs = samples.make(tapped, source.mode, recipe.seed, pixels)
    artifact, kept = _graph(converted, chosen, chosen_opset, inputs, ranking, batch, say)
    findings = _check_rules(artifact, source.name, chosen)
    with staging(folder) as work:
        say("running Keras for comparison")
        answers = parity.reference(
            channels_last(tapped), inputs.prepared, [output.name for output in shown]
        )
        if ranking is not None:
            answers, shown = ranking.golden(answers), ranking.shown(shown)
        golden = {**inputs.raw, **answers}
        say("writing the bundle")
        said = _entries(
            source, chosen, chosen_opset, converted.traced, shown, artifact, kept, inputs
        )
        said["findings"] = [asdict(finding) for finding in findings]
        said["created"] = _now() if timestamps else None
        said["steps"] = entries.step_entries(artifact.steps, times=timestamps)
        tolerance = parity.TOLERANCES[chosen.precision]
        said["parity"] = parity.pending(list(answers), inputs.count, tolerance)
        files.write_files(work, artifact.model, said, golden, names)
        entries.write_manifest(work, said)
        say("proving it equal to Keras")
        measured = parity.measure(work, golden, tolerance)
        manifest = entries.write_manifest(work, {**said, "parity": measured.entry()})
        rejected = folder.with_name(f"{folder.name}.rejected")
        publish(work, folder if measured.passed else rejected)
        parity.require(measured, rejected)
    return Bundle(folder, manifest)


def _readable(pixels: Pixels, target: Target) -> Pixels:
    """The same in float32 where the target's toolchain takes no uint8."""
    if target.uint8_input:
        return pixels
    if pixels.subsampled:
        raise BadArgument(
            f"{pixels.form} is bytes, and {target.toolchain} takes no uint8",
            hint="choose --input-format rgb, or a toolchain with TensorRT 8.5 or newer",
        )
    return replace(pixels, dtype="float32")


def _shown(converted: Converted) -> tuple[Shown, ...]:
    """The outputs of a converted model."""
    values = converted.model.graph.outputs
    return tuple(
        Shown(output.name, output.kind, output.layer, _classes(value))
        for output, value in zip(converted.outputs, values, strict=True)
    )


def _classes(value: ir.Value) -> int | None:
    shape = list(value.shape or ())
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None


def _graph(
    converted: Converted,
    target: Target,
    opset: int,
    inputs: samples.Samples,
    ranking: Ranking | None,
    batch: int | Literal["dynamic"],
    say: Progress,
) -> tuple[Artifact, tuple[Kept, ...]]:
    """The target's graph, and the nodes of it that stay in float32 although the target is fp16."""
    fixed = None if batch == "dynamic" else batch
    known = None if target.chosen is None else target.chosen.rules
    passes = (
        pipeline.with_tensor_inputs(fixed)
        if inputs.pixels is None
        else pipeline.with_image_input(inputs.mode, fixed, inputs.pixels)
    )
    if ranking is not None:
        passes = (*passes, best(ranking.output.name, ranking.count))
    artifact = pipeline.run(converted.model, passes, say)
    if target.precision == "fp32":
        passes = pipeline.for_float32(opset, known, blocked=target.blocked_layout)
        return pipeline.continue_with(artifact, passes, say), ()
    artifact = pipeline.continue_with(artifact, pipeline.BEFORE_FLOAT16, say)
    say("observing the values of every tensor")
    kept = keep_float32(artifact.model, observe(artifact.model, inputs.of_batch(fixed)))
    kept = (*kept, *_positions(artifact.model, kept))
    names = frozenset(node.node for node in kept)
    return pipeline.continue_with(artifact, pipeline.for_float16(opset, names, known), say), kept


def _positions(model: ir.Model, kept: Sequence[Kept]) -> Iterator[Kept]:
    """The nodes that compute which pixels a resize reads, but for those that are kept anyway."""
    names = {node.node for node in kept}
    for node in model.graph:
        if (node.name or "").startswith(POSITIONS) and node.name not in names:
            yield Kept(node.name or "", "float16 does not tell one pixel from the next")


def _entries(
    source: Source,
    target: Target,
    opset: int,
    traced: Sequence[str],
    shown: Sequence[Shown],
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
            "traced": list(traced),
        },
        "target": entries.target_entry(target, opset),
        "inputs": [entries.input_entry(value, inputs.pixels) for value in graph.inputs],
        "outputs": [
            entries.output_entry(value, output)
            for value, output in zip(graph.outputs, shown, strict=True)
        ],
        "preprocessing": entries.preprocessing_entry(
            source.mode, inputs.pixels, inputs.size, folded=is_folded(graph.inputs[0])
        ),
        "parity": None,
        "quantization": None,
        "float32_nodes": [asdict(node) for node in kept],
        "steps": [],
        "versions": entries.versions(),
    }


def _check_rules(artifact: Artifact, name: str, target: Target) -> tuple[rules.Finding, ...]:
    """What the target's toolchain warns of; GraphRefused if it would not read the graph right."""
    if target.chosen is None:
        return ()
    platform = targets.platform(target)
    findings = rules.find(artifact.model, platform)
    rules.require(findings, f"{name} for {target.name}", platform)
    return findings


def _opset(asked: int | None, target: Target) -> int:
    """The opset to write: the target's, or another that is asked for and that it reads."""
    if asked is None:
        return target.opset
    chosen = target.chosen
    if chosen is not None and check_opset(asked) > chosen.rules.opset_cap:
        raise BadArgument(
            f"{chosen} reads opset {chosen.rules.opset_cap} at most, and not {asked}",
            hint="leave out --opset, or name a newer --jetpack or --tensorrt",
        )
    return check_opset(asked)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _silent(step: str) -> None:
    del step
