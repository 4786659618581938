"""Stage 5: the files of the bundle, and a manifest in which parity is still open."""

from __future__ import annotations

import datetime
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

import kexport
from kexport.bundle import manifest, tensorrt
from kexport.bundle.manifest import Manifest
from kexport.bundle.write import write_files
from kexport.calibration.accuracy.report import speed_entry
from kexport.options.input_image import InputImage
from kexport.parity import compare
from kexport.parity.reference import Reference
from kexport.passes.image_input import is_folded
from kexport.progress import Progress
from kexport.stages.convert import Subject
from kexport.stages.finish import Finished
from kexport.stages.request import Request


def write(
    folder: Path,
    subject: Subject,
    finished: Finished,
    reference: Reference,
    request: Request,
    say: Progress,
) -> Manifest:
    """Write everything into an empty folder, and return the manifest as written."""
    say("writing the bundle")
    draft = describe(subject, finished, reference, request)
    write_files(
        folder, finished.artifact.model, draft.entries(), reference.arrays(), subject.labels
    )
    if draft.build is not None:
        tensorrt.write_programs(folder, request.target, draft.build, draft.inputs)
    written = replace(draft, files=manifest.list_files(folder))
    manifest.write_manifest(folder, written)
    return written


def describe(
    subject: Subject, finished: Finished, reference: Reference, request: Request
) -> Manifest:
    """Return the manifest of a bundle that has no files yet and whose parity is not measured."""
    source, samples, target = subject.source, subject.samples, request.target
    graph, guard = finished.artifact.model.graph, finished.guard
    quantization = None
    if finished.quantized is not None:
        speed = speed_entry(finished.quantized.speed) if request.timestamps else None
        quantization = {**finished.quantized.entry, "speed": speed}
    return Manifest(
        schema=manifest.SCHEMA,
        kexport=kexport.__version__,
        created=_now() if request.timestamps else None,
        model={
            "name": source.name,
            "source": source.source,
            "sha256": source.sha256,
            "weights": source.weights,
            "traced": list(subject.traced),
        },
        target=manifest.target_entry(target),
        inputs=_inputs(subject, graph),
        outputs=[
            manifest.output_entry(value, output)
            for value, output in zip(graph.outputs, subject.shown, strict=True)
        ],
        task=subject.task,
        preprocessing=_first_preprocessing(subject, graph),
        parity=compare.pending(reference.measured_names(), samples.count),
        quantization=quantization,
        labelled=finished.accuracy,
        build=tensorrt.build_entry(target, finished.artifact.model, guard.kept),
        engine_check=None,
        float32_nodes=[asdict(node) for node in guard.kept],
        largest_value=None if guard.largest is None else asdict(guard.largest),
        steps=manifest.step_entries(finished.artifact.steps, times=request.timestamps),
        versions=manifest.versions(),
        findings=[asdict(finding) for finding in finished.findings],
        files={},
    )


def _inputs(subject: Subject, graph: ir.Graph) -> list[dict[str, Any]]:
    """Return the entry `inputs`; each image of several inputs has its own preprocessing."""
    images = {image.place: image for image in subject.samples.images}
    several = len(graph.inputs) > 1
    return [
        manifest.input_entry(
            value,
            images[place].pixels if place in images else None,
            _preprocessing(subject, graph, images[place]) if several and place in images else None,
            subject.samples.ranges.get(value.name or ""),
        )
        for place, value in enumerate(graph.inputs)
    ]


def _first_preprocessing(subject: Subject, graph: ir.Graph) -> dict[str, Any]:
    images = subject.samples.images
    if images:
        return _preprocessing(subject, graph, images[0])
    return manifest.preprocessing_entry("none", None, None, folded=is_folded(graph.inputs[0]))


def _preprocessing(subject: Subject, graph: ir.Graph, image: InputImage) -> dict[str, Any]:
    settled = subject.preprocessing
    return manifest.preprocessing_entry(
        image.mode,
        image.pixels,
        subject.samples.size(image),
        folded=is_folded(graph.inputs[image.place]),
        layers=settled.layers.get(image.name, ()),
        chosen=settled.chosen,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
