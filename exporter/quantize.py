"""INT8 on the road from a model to a bundle: images, Keras' answers, the gate, and its report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy import control, report
from kexport.calibration.accuracy.criterion import Criterion, measure_of
from kexport.calibration.accuracy.evaluator import Evaluator, Kind
from kexport.calibration.accuracy.latency import Speed, compare_latency
from kexport.calibration.dataset.images import Images, gather, labelled, split
from kexport.calibration.progress import Say, counted
from kexport.calibration.quantizer.onnxruntime_cpu import ONNXRUNTIME_CPU
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.quantizer.tensorrt import TENSORRT_EXPLICIT, TENSORRT_STRONGLY_TYPED
from kexport.calibration.statistics import cache
from kexport.calibration.statistics.channels import Channels
from kexport.calibration.statistics.float16_guard import Guard
from kexport.calibration.statistics.ranges import METHODS, Range
from kexport.errors import BadArgument, QuantizationRefused, did_you_mean
from kexport.graph.passes import Artifact, Step
from kexport.optimize import halve
from kexport.options.image_input import ImageInput
from kexport.outputs import SCORED, Shown
from kexport.parity import compare
from kexport.passes import pipeline
from kexport.passes.infer_shapes import infer_shapes
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare
from kexport.targets import Target

CALIBRATED, JUDGED, LABELLED = 100, 100, 500
"""Images to measure on, to hold out, and to hold out where their classes are known, at most."""

SCHEMES = {
    "onnxruntime": ONNXRUNTIME_CPU,
    "tensorrt": TENSORRT_EXPLICIT,
    "tensorrt_rtx": TENSORRT_EXPLICIT,
}
"""The form of INT8 by engine."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a user says about INT8; the fields are the arguments of `kexport.export`."""

    data: str | Path | Iterable[Any] | None = None
    method: str = "mse"
    cache: Path | None = None
    max_drop: float = 0.01
    eval_data: Path | None = None
    require_speedup: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is quantised: a Keras model, its graph, and how images come to both."""

    model: keras.Model
    """With its images as [N, H, W, C]."""
    artifact: Artifact
    """The simplified float32 graph, with the image as its input."""
    shown: Sequence[Shown]
    labels: Sequence[str] | None
    mode: str
    pixels: ImageInput
    size: tuple[int, int, int]
    """Height, width and channels of the model's images."""
    random: bool
    """Whether the weights are random, so that classes mean nothing."""
    seed: int


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised graph, the manifest's entry about it, and how fast it is where that is known."""

    artifact: Artifact
    entry: dict[str, Any]
    speed: Speed | None
    guard: Guard
    """What stays float32 where the rest of the graph is float16."""
    in_float32: ir.Model
    """The same graph before its rest became float16."""


def check(target: Target, wanted: Calibration, *, local: bool) -> None:
    """Refuse what does not fit together, before anything is built.

    Args:
        target: where the model goes.
        wanted: what the user said.
        local: whether the target is like this machine, so that it can be timed here.

    Raises:
        BadArgument: INT8 without calibration images, such images for another precision, or a
            method, a drop or a speed that makes no sense.
    """
    if target.precision != "int8":
        said = _said(wanted)
        if said:
            raise BadArgument(
                f"`calibration.{said}` is for int8, and {target.name} is {target.precision}",
                hint=f"leave it out, or choose the target {target.device}-int8",
            )
        return
    if wanted.data is None:
        raise BadArgument(
            f"{target.name} needs images to calibrate on",
            hint="give a folder of 100 or more like those that the model will meet, with "
            "`calibration.data`",
        )
    if isinstance(wanted.data, (str, Path)) and not Path(wanted.data).exists():
        raise BadArgument(
            f"the calibration data {wanted.data} does not exist",
            hint="give a folder of images, or a .npy or .npz file",
        )
    if wanted.method not in METHODS:
        raise BadArgument(
            f"there is no calibration method {wanted.method!r}",
            hint=did_you_mean(wanted.method, METHODS) or f"choose one of {', '.join(METHODS)}",
        )
    if not 0 <= wanted.max_drop <= 1:
        raise BadArgument(
            f"`calibration.max_drop` must be between 0 and 1, not {wanted.max_drop:g}",
            hint="give a share, such as 0.01",
        )
    if wanted.require_speedup is not None and not local:
        raise BadArgument(
            f"{target.name} cannot be timed on this machine",
            hint="leave out `calibration.require_speedup`, and time the bundle on the device",
        )


def _said(wanted: Calibration) -> str | None:
    """Return the first field that is not as it is by default."""
    plain = Calibration()
    names = (field.name for field in fields(Calibration))
    return next((name for name in names if _differ(wanted, plain, name)), None)


def _differ(wanted: Calibration, plain: Calibration, name: str) -> bool:
    value, default = getattr(wanted, name), getattr(plain, name)
    return value is not None if default is None else bool(value != default)


def quantize(
    subject: Subject, target: Target, opset: int, wanted: Calibration, *, local: bool, say: Say
) -> Quantized:
    """Calibrate, quantise, and repair until the accuracy holds.

    Args:
        subject: the model.
        target: where it goes.
        opset: the opset of the graph.
        wanted: what the user said; `check` has passed it.
        local: whether the target is like this machine.
        say: called with a few words at the start of every step.

    Raises:
        BadArgument, OutputFailed: the images or the cache are of no use.
        UnsupportedModel: the model gives NaN or infinity on the images.
        QuantizationRefused: the accuracy or the speed asked for is not reached.
    """
    scheme = _scheme(target, opset)
    started = time.perf_counter()
    passes = (*pipeline.before_int8(opset, target.rules), *scheme.prepare, infer_shapes)
    artifact = pipeline.continue_with(subject.artifact, passes, say)
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        measured_on, judged_on = _images(subject, wanted, Path(scratch), say)
        images = _arriving(measured_on.images, subject.pixels)
        judge = _judge(subject, judged_on, say)
        exact = judge.keras()
        measure = measure_of(
            random=subject.random,
            labelled=judge.labels is not None,
            classes=judge.kind != "numbers",
        )
        passing = Criterion(measure, wanted.max_drop, exact)
        asked = control.Gate(
            scheme, images, judge, passing.holds, wanted.method, say, passing.ample
        )
        ranges, channels = _ranges(artifact.model, asked, wanted.cache)
        gated = control.quantize(artifact.model, ranges, asked, channels)
        if not gated.holds:
            raise _refusal(passing, gated, wanted.max_drop)
        seconds = time.perf_counter() - started
        step = Step("quantize", seconds, len(artifact.model.graph), len(gated.model.graph))
        whole = Artifact(gated.model, (*artifact.steps, step))
        whole = pipeline.continue_with(whole, pipeline.AFTER_INT8, say)
        in_float32, guard = whole.model, Guard()
        if scheme.half_scales:
            halved, seen = halve(whole, images, say)
            quality = judge(halved.model)
            holds = passing.holds(quality)
            whole, guard = (halved, seen) if holds else (whole, guard)
            last = control.Step("the rest in float16", quality, holds)
            gated = replace(gated, steps=(*gated.steps, last))
        speed = _speed(subject, whole.model, target, opset, images, say) if local else None
    _require_speed(speed, wanted.require_speedup, target.name)
    entry = {
        "method": wanted.method,
        "images": len(images),
        "judged_on": len(judge.images),
        "skipped": [*measured_on.skipped, *judged_on.skipped],
        "gate": passing.entry(),
        "keras": report.quality_entry(exact) if judge.labels is not None else None,
        **report.entries(gated, scheme, artifact.model),
    }
    return Quantized(whole, entry, speed, guard, in_float32)


def _scheme(target: Target, opset: int) -> Scheme:
    """The form of INT8 for a target."""
    return TENSORRT_STRONGLY_TYPED if target.halves_rest(opset) else SCHEMES[target.engine]


def _images(
    subject: Subject, wanted: Calibration, scratch: Path, say: Say
) -> tuple[Images, Images]:
    """Images to measure on, and to judge on."""
    height, width, channels = subject.size
    source, size, seed = wanted.data, (height, width), subject.seed
    told = counted(say, "decoding the calibration images")
    if source is None:
        raise ValueError("there is nothing to calibrate on")
    if wanted.eval_data is None:
        found = gather(
            source,
            size,
            channels,
            limit=CALIBRATED + JUDGED,
            seed=seed,
            scratch=scratch,
            progress=told,
        )
        return split(found, seed)
    classes = subject.labels or subject.shown[0].classes
    if classes is None or subject.shown[0].kind not in SCORED:
        raise BadArgument(
            f"the output {subject.shown[0].name!r} scores no classes, so labels say nothing of it",
            hint="leave out `calibration.eval_data`",
        )
    judged = labelled(
        wanted.eval_data,
        classes,
        size,
        channels,
        limit=LABELLED,
        seed=seed,
        scratch=scratch,
        progress=counted(say, "decoding the labelled images"),
    )
    measured = gather(
        source, size, channels, limit=CALIBRATED, seed=seed, scratch=scratch, progress=told
    )
    return measured, judged


def _arriving(images: Array, pixels: ImageInput) -> Array:
    """Decoded images as the graph takes them."""
    channels = images.shape[-1]
    chosen = pixels.of_channels(channels)
    if (chosen.color, chosen.layout, chosen.dtype) in (
        ("RGB", "nhwc", "uint8"),
        ("GRAY", "nhwc", "uint8"),
    ) and (chosen.color == "GRAY") == (channels == 1):
        return images
    rows = (encode(image, chosen.color, chosen.layout.upper(), chosen.dtype) for image in images)
    return np.stack(list(rows))


def _judge(subject: Subject, pictures: Images, say: Say) -> Evaluator:
    """The held-out images, with what Keras says of them."""
    images, pixels = _arriving(pictures.images, subject.pixels), subject.pixels
    height, width, channels = subject.size
    first = subject.shown[0]
    told = counted(say, "running Keras on the held-out images")
    answers = []
    for start in range(0, len(images), compare.AT_ONCE):
        raw = images[start : start + compare.AT_ONCE]
        prepared = prepare(decode(raw, pixels, (height, width), channels), subject.mode)
        names = [output.name for output in subject.shown]
        answers.append(compare.reference(subject.model, [prepared], names)[first.name])
        told(min(start + len(raw), len(images)), len(images))
    labels = None if pictures.labels is None else np.asarray(pictures.labels)
    return Evaluator(images, np.concatenate(answers), _kind(first), labels)


def _kind(output: Shown) -> Kind:
    if output.kind not in SCORED or output.classes is None or output.classes < 2:
        return "numbers"
    return "probabilities" if output.kind == "probabilities" else "scores"


def _ranges(
    model: ir.Model, asked: control.Gate, file: Path | None
) -> tuple[dict[str, Range], dict[str, Channels] | None]:
    """Measured ranges; read from a cache that is there, and written to one that is not.

    And what was measured of channels, which the cache does not hold.
    """
    if file is not None and file.exists():
        return cache.load_ranges(file, cache.key_of(model, asked.method)), None
    measured = asked.measured(model)
    if file is not None:
        cache.save_ranges(file, cache.key_of(model, asked.method), measured.ranges)
    return measured.ranges, measured.channels


def _speed(
    subject: Subject, model: ir.Model, target: Target, opset: int, images: Array, say: Say
) -> Speed:
    """How fast the float32 model of this device and the quantised one are."""
    say("timing int8 against fp32")
    passes = pipeline.for_float32(opset, target.rules, blocked=target.blocked_layout)
    return compare_latency(pipeline.continue_with(subject.artifact, passes).model, model, images)


def _require_speed(speed: Speed | None, wanted: float | None, name: str) -> None:
    if speed is None or wanted is None or speed.factor >= wanted:
        return
    raise QuantizationRefused(
        f"int8 is {speed.factor:.2f} times as fast as fp32 for {name} on this machine, "
        f"and {wanted:g} is asked for ({speed.float_ms:.2f} ms and {speed.int8_ms:.2f} ms)",
        hint="export it to fp32, or ask for less with `calibration.require_speedup`; "
        "nothing was written",
    )


def _refusal(passing: Criterion, gated: control.Gated, max_drop: float) -> QuantizationRefused:
    lost = {
        "labels": "of Keras' top-1 accuracy is lost",
        "agreement": "of the held-out images get another class than Keras gives them",
        "noise": "of the output's power is noise",
    }
    share = f"{passing.drop(gated.quality):.1%} {lost.get(passing.measure, '')}"
    return QuantizationRefused(
        f"int8 costs too much accuracy: {share}, and {max_drop:.1%} may be, after "
        + ", ".join(step.name for step in gated.steps),
        hint="give more images that are like those of the device, allow more with "
        "`calibration.max_drop`, or choose fp32 or fp16; nothing was written",
    )
