"""The Python interface: one call from a Keras model to a proven bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from kexport import targets
from kexport.bundle import FINISHING, local_engine, rejected, triton
from kexport.bundle.output_folder import staging
from kexport.bundle.publish import publish
from kexport.calibration.accuracy.latency import Speed
from kexport.errors import BadArgument
from kexport.options.application import Recipe
from kexport.options.batch import Batch
from kexport.options.by_input import choices
from kexport.options.calibration import Calibration
from kexport.options.image_input import AUTO, ImageInput
from kexport.options.sampling import Sampling
from kexport.options.task import Task, TaskName
from kexport.options.toolchain import Toolchain
from kexport.parity import compare
from kexport.progress import Progress
from kexport.source.labels import Labels
from kexport.source.open import open_model
from kexport.source.signature import Signature, with_signature
from kexport.stages.convert import convert
from kexport.stages.finish import finish
from kexport.stages.prove import prove
from kexport.stages.reference import compute_reference
from kexport.stages.request import prepare
from kexport.stages.resizing import ResizeTrial, choose, with_default
from kexport.stages.write import write
from kexport.targets import Target


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder, and its manifest as written."""

    path: Path
    manifest: dict[str, Any]
    speed: Speed | None = None
    """For int8 on a machine like this one: its latency here, beside fp32."""
    engine: local_engine.VerifiedEngine | None = None
    """The engine, if the target's GPU and TensorRT are on this machine."""
    resize_trial: ResizeTrial | None = None
    """If labelled images were given: Keras' accuracy on them for each likely way of resizing."""


def export(
    model: str | Path | keras.Model,
    target: str | Target,
    *,
    output: str | Path | None = None,
    recipe: Recipe | None = None,
    image_input: ImageInput | Mapping[str, ImageInput] | None = None,
    task: TaskName | Task | None = None,
    calibration: Calibration | None = None,
    sampling: Sampling | None = None,
    toolchain: Toolchain | None = None,
    batch: Batch = 1,
    labels: Labels | None = None,
    input_signature: Signature = None,
    output_layers: Sequence[str] = (),
    top_k: int | None = None,
    layout_triton: str | Path | None = None,
    force: bool = False,
    timestamps: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Export a model to a bundle that runs on `target`, proven equal to Keras.

    Args:
        model: an Application's name, a .keras or .h5 file, or a Keras model.
        target: `<device>-<precision>`, such as "trt-fp16", or what `kexport.targets.find` returns.
        output: the bundle's folder; `<model>-<target>` by default.
        recipe: how to build or load the model, and how its images are preprocessed.
        image_input: the format, layout and dtype of the images that the graph takes, and how images
            of another size are resized, in the graph or before it; uint8 RGB or grey of the model's
            size by default. For a model with several image inputs, one for all of them, or a
            mapping by their names, with "*" for all others.
        task: what the outputs are for: the name of a task, or a `Task` with its parameters. By
            default it is found where the model or the labels leave no doubt, and "raw" elsewhere.
        calibration: for int8: images like those that the model will see, and the accuracy to keep.
        sampling: what the bundle is compared with Keras on: own samples, or ranges of numbers.
        toolchain: the JetPack or TensorRT on the device, and what to write for it; the newest that
            kexport knows by default. Only for a target given by its name.
        batch: samples at a time, or "dynamic".
        labels: the class names in the order of the outputs: a text file with one a line, a .json or
            .csv file, a training folder with one subfolder for each class, "imagenet", or the names
            themselves.
        input_signature: the inputs of a subclassed model, as keras.InputSpec with shape and dtype:
            a single one, a list, or a dict by name; by default those that it was first called on,
            in float32.
        output_layers: names of the layers whose outputs the bundle gives, instead of the model's
            own.
        top_k: give this many best classes, as `indices` and `scores`, instead of all scores.
        layout_triton: a model repository of Triton Inference Server that gets the model too.
        force: replace a bundle that is there, once the new one is complete.
        timestamps: record dates and times; the same command then gives other bytes each time.
        progress: called with a short text at the start of every step.

    Raises:
        KexportError: one of its subclasses (see kexport.errors), with nothing published.
    """
    say = progress or _ignore
    model = with_signature(model, input_signature)
    request = prepare(
        model,
        _resolve(target, toolchain),
        output=output,
        recipe=recipe,
        image_input=image_input,
        task=task,
        calibration=calibration,
        sampling=sampling,
        batch=batch,
        labels=labels,
        output_layers=output_layers,
        top_k=top_k,
        layout_triton=layout_triton,
        force=force,
        timestamps=timestamps,
    )
    say("building the model")
    source = open_model(model, request.recipe)
    folder = request.folder(source.name)
    is_auto = any(one.resize_outside == AUTO for one in choices(request.image_input))
    request = with_default(source, request)
    subject = convert(source, request, say)
    subject, trial = choose(subject, request, auto=is_auto, say=say)
    finished = finish(subject, request, say)
    with staging(folder) as work:
        reference = compute_reference(subject, finished, request.target, say)
        draft = write(work, subject, finished, reference, request, say)
        proven = prove(work, draft, subject, finished, reference, request.target, say)
        say(FINISHING)
        if not proven.parity.passed:
            compare.require(proven.parity, rejected.keep(work, folder))
        publish(work, folder, force=force)
    entries = proven.manifest.entries()
    if request.layout_triton is not None:
        triton.write_layout(folder, entries, request.target, request.layout_triton)
    speed = None if finished.quantized is None else finished.quantized.speed
    return Bundle(folder, entries, speed, proven.engine, trial)


def _resolve(target: str | Target, toolchain: Toolchain | None) -> Target:
    if isinstance(target, str):
        return targets.find(target, **asdict(toolchain or Toolchain()))
    if toolchain is not None:
        raise BadArgument(
            f"the target {target.name} has its toolchain already",
            hint="give the target by its name, or leave out the toolchain",
        )
    return target


def _ignore(step: str) -> None:
    del step
