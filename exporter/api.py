"""The Python interface: one call for the whole road from a model to a bundle."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from kexport import lint as rules
from kexport import optimize, quantize, targets
from kexport.arrays import Array
from kexport.bundle import FINISHING, local_engine, rejected, rtx_builder, triton
from kexport.bundle import manifest as entries
from kexport.bundle import tensorrt as programs
from kexport.bundle import write as files
from kexport.bundle.output_folder import refuse_existing, staging
from kexport.bundle.publish import publish
from kexport.calibration.accuracy.latency import Speed
from kexport.calibration.accuracy.report import speed_entry
from kexport.calibration.statistics.float16_guard import Guard
from kexport.conversion import convert_model
from kexport.errors import BadArgument
from kexport.graph.passes import Artifact
from kexport.needs import need
from kexport.onnx_export import check_opset
from kexport.options.application import Recipe
from kexport.options.image_input import ImageInput
from kexport.outputs import Shown, best_classes
from kexport.parity import compare, samples
from kexport.parity.int8_tolerance import prove
from kexport.runtime.manifest import GRAPH
from kexport.source import labels as label_files
from kexport.source.clone import channels_last
from kexport.source.intermediate import at_layers
from kexport.source.open import Source, open_model
from kexport.targets import Target

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder, and its manifest as written."""

    path: Path
    manifest: dict[str, Any]
    speed: Speed | None = None
    """How fast an int8 bundle for a machine like this is here, beside fp32."""
    engine: local_engine.Built | None = None
    """The engine, where the target's GPU and TensorRT are here."""


def export(
    model: str | Path | keras.Model,
    target: str,
    *,
    output: str | Path | None = None,
    recipe: Recipe | None = None,
    batch: optimize.Batch = 1,
    jetpack: str | None = None,
    tensorrt: str | None = None,
    compute_capabilities: Sequence[str] = (),
    opset: int | None = None,
    labels: label_files.Said | None = None,
    output_layers: Sequence[str] = (),
    pixels: ImageInput | None = None,
    top_k: int | None = None,
    layout_triton: str | Path | None = None,
    calibration_data: str | Path | Iterable[Any] | None = None,
    calibration_method: str = "mse",
    calibration_cache: str | Path | None = None,
    max_drop: float = 0.01,
    eval_data: str | Path | None = None,
    require_speedup: float | None = None,
    force: bool = False,
    timestamps: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Export a model to a bundle that runs on `target`, proven equal to Keras.

    Args:
        model: an Application's name, a .keras or .h5 file, or a Keras model.
        target: `<device>-<precision>`, such as "trt-fp16".
        output: the bundle's folder; `<model>-<target>` by default.
        recipe: what to build or load, and how its images are preprocessed.
        batch: samples at a time, or "dynamic".
        jetpack: the JetPack on the device, or the beginning of its version: "5.1" means the newest
            5.1.x that the device can run; the newest of all by default.
        tensorrt: the same for TensorRT.
        compute_capabilities: CUDA's, such as "8.6", for which a target with TensorRT for RTX builds
            its engine; by default all that it is known to run on.
        opset: another ONNX opset than the target's.
        labels: the class names: a file with one a line, a training folder with one subfolder a
            class, "imagenet", or the names themselves.
        output_layers: names of the layers whose outputs the bundle gives, instead of the model's
            own.
        pixels: how the images arrive, and how they become as large as the model's; RGB or grey of
            its size by default.
        top_k: give this many best classes, as `indices` and `scores`, in the place of the scores of
            all.
        layout_triton: a model repository of Triton Inference Server that the model is put into too.
        calibration_data: for int8: images like those that the model will meet, as a folder of
            any depth, a .npy or .npz file of uint8 [N, H, W, C], or an iterable of arrays, PIL
            images and paths; up to 200 are taken, half of them to measure on and half to judge.
        calibration_method: how a range is found: "minmax", "percentile", "entropy" or "mse".
        calibration_cache: a file of measured ranges; it is written where it is missing.
        max_drop: how much int8 may cost at most: the share of the held-out images that get
            another class than Keras gives them, or of top-1 accuracy where `eval_data` is given.
        eval_data: images to judge on, in one folder a class.
        require_speedup: refuse int8 that is less than so many times as fast as fp32 here.
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
    if layout_triton is not None:
        triton.require_servable(chosen)
        triton.require_repository(Path(layout_triton))
    programs.check_capabilities(chosen, compute_capabilities)
    if chosen.engine == "tensorrt_rtx":
        need("tensorrt_rtx", extra="rtx")
    calibration = quantize.Calibration(
        calibration_data,
        calibration_method,
        None if calibration_cache is None else Path(calibration_cache),
        max_drop,
        None if eval_data is None else Path(eval_data),
        require_speedup,
    )
    local = _is_here(chosen)
    quantize.check(chosen, calibration, local=local)
    if output is not None:
        refuse_existing(Path(output), force=force)
    given = None if labels is None else label_files.read(labels)
    say("building the model")
    source = open_model(model, recipe)
    folder = Path(output or f"{source.name}-{chosen.name}")
    refuse_existing(folder, force=force)
    if layout_triton is not None:
        triton.refuse_model(Path(layout_triton), source.name, folder)
    tapped = at_layers(source.model, output_layers)
    say("converting")
    converted = convert_model(tapped, kind=None if output_layers else source.kind)
    names = label_files.fit(given or source.labels, converted, labels)
    shown = entries.outputs_of(converted)
    ranking = None if top_k is None else best_classes(shown, top_k)
    if samples.is_image_model(tapped):
        pixels = optimize.readable(pixels or ImageInput(), chosen)
    inputs = samples.make(tapped, source.mode, recipe.seed, pixels)
    artifact = optimize.simplified(converted, inputs, batch, say)
    guard = Guard()
    quantized = None
    if chosen.precision == "int8":
        subject = _subject(tapped, artifact, shown, names, inputs, source, recipe)
        quantized = quantize.quantize(
            subject, chosen, chosen_opset, calibration, local=local, say=say
        )
        artifact = optimize.ranked(quantized.artifact, ranking)
        guard = quantized.guard
        if guard == Guard():
            guard = optimize.beyond_float16(artifact.model, chosen, inputs, batch)
    else:
        artifact = optimize.ranked(artifact, ranking)
        artifact, guard = optimize.of_floats(artifact, chosen, chosen_opset, inputs, batch, say)
    findings = _check_rules(artifact, source.name, chosen)
    with staging(folder) as work:
        say("running Keras for comparison")
        answers = compare.reference(
            channels_last(tapped), inputs.prepared, [output.name for output in shown]
        )
        own: dict[str, Array] = {}
        if quantized is None:
            tolerances = {"": compare.TOLERANCES[chosen.precision]}
        else:
            say("drawing the roundings by chance")
            rest = "fp32" if chosen.engine == "onnxruntime" else "fp16"
            least = compare.TOLERANCES[rest]
            proof = prove(quantized.in_float32, shown, inputs.raw, answers, least=least)
            own, tolerances = proof.answers, {"": proof.from_keras, GRAPH: proof.from_graph}
        if ranking is not None:
            answers, shown = ranking.golden(answers), ranking.shown(shown)
            own = own and ranking.golden(own)
        answers |= {f"{GRAPH}{name}": array for name, array in own.items()}
        golden = {**inputs.raw, **answers}
        say("writing the bundle")
        said = entries.describe(
            source, chosen, chosen_opset, converted.traced, shown, artifact, guard, inputs
        )
        said["findings"] = [asdict(finding) for finding in findings]
        said["created"] = _now() if timestamps else None
        said["steps"] = entries.step_entries(artifact.steps, times=timestamps)
        if quantized is not None:
            speed = speed_entry(quantized.speed) if timestamps else None
            said["quantization"] = {**quantized.entry, "speed": speed}
        said["parity"] = compare.pending(list(answers), inputs.count)
        said["build"] = programs.build_entry(
            chosen, artifact.model, guard.kept, compute_capabilities
        )
        files.write_files(work, artifact.model, said, golden, names)
        if said["build"] is not None:
            programs.write_programs(work, chosen, said["build"], said["inputs"])
        entries.write_manifest(work, said)
        if said["build"] is not None and rtx_builder.available():
            say("building with TensorRT-RTX")
            said["engine_check"] = rtx_builder.checked(work, artifact.model, chosen, source.name)
        say("proving it equal to Keras")
        measured = compare.measure(work, golden, tolerances)
        manifest = entries.write_manifest(work, {**said, "parity": measured.entry()})
        engine = None
        if measured.passed and local_engine.device_is_here(targets.platform(chosen)):
            say("building the engine on this GPU, and proving it")
            engine = local_engine.build(work, source.name)
        say(FINISHING)
        if not measured.passed:
            compare.require(measured, rejected.keep(work, folder))
        publish(work, folder, force=force)
    if layout_triton is not None:
        triton.write_layout(folder, manifest, chosen, Path(layout_triton))
    return Bundle(folder, manifest, None if quantized is None else quantized.speed, engine)


def _is_here(target: Target) -> bool:
    """Whether a target's CPU is this machine's, so that speed here says something."""
    machines = {"cpu": ("x86_64", "AMD64", "aarch64", "arm64"), "arm64": ("aarch64", "arm64")}
    return platform.machine() in machines.get(target.device, ())


def _subject(
    model: keras.Model,
    artifact: Artifact,
    shown: Sequence[Shown],
    labels: Sequence[str] | None,
    inputs: samples.Samples,
    source: Source,
    recipe: Recipe,
) -> quantize.Subject:
    if inputs.pixels is None:
        raise BadArgument(
            f"model {model.name!r} takes no image, and int8 is for models that do",
            hint="choose fp32 or fp16",
        )
    height, width, channels = inputs.prepared[0].shape[1:]
    return quantize.Subject(
        channels_last(model),
        artifact,
        shown,
        labels,
        source.mode,
        inputs.pixels,
        (height, width, channels),
        random=source.weights == "random",
        seed=recipe.seed,
    )


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
            hint="leave out `toolchain.opset`, or name a newer `toolchain.jetpack` or "
            "`toolchain.tensorrt`",
        )
    return check_opset(asked)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _silent(step: str) -> None:
    del step
