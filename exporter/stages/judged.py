"""A float export on labelled images: Keras, and the bundle's graph beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.dataset.encoding import encode_images
from kexport.calibration.dataset.images import Images
from kexport.calibration.execution.rows import Rows
from kexport.calibration.execution.session import run_batches
from kexport.errors import BadArgument
from kexport.options.input_image import InputImage
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.source.preprocessing import prepare
from kexport.stages import labelled, measured
from kexport.stages.convert import Subject
from kexport.stages.keras_runner import runner_for
from kexport.stages.request import Request


def judge(
    subject: Subject, request: Request, graph: ir.Model, say: Progress
) -> dict[str, Any] | None:
    """Run Keras and the graph on the labelled images of a float export, where there are some.

    Returns:
        The manifest's entry about Keras, with that about the graph as `bundle`.

    Raises:
        BadArgument: an image is not the only input, the task has no measure, the images cannot be
            used, or as `labelled.check`.
    """
    if request.calibration.eval_data is None:
        return None
    image = require_image(subject)
    data = find(subject, image, request)
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        if data is None:
            return _of_classes(subject, request, image, graph, Path(scratch), say)
        form = labelled.form_of(subject.model, image.pixels)
        images = data.load(form, Path(scratch), say)
        judged = data.judge(images, form)
        runner = runner_for(
            channels_last(subject.model), subject.artifact.model, len(images.images)
        )
        prepared = partial(prepare, mode=image.mode)
        found = measured.answers(judged, subject.outputs, runner, images.images, prepared, say)
        entry = measured.check(judged, [one for kept, _ in found for one in kept])
        say("running the graph on the labelled images")
        kept = list[Any]()
        for outputs in _outputs(graph, image, images, judged.task.outputs):
            kept += judged.keep(outputs, len(kept))
        return {**entry, "bundle": judged.entry(kept)}


def find(subject: Subject, image: InputImage, request: Request) -> measured.Labelled | None:
    """Return the labelled data of an export, as `measured.data_of`."""
    return measured.data_of(subject.task, subject.outputs, subject.labels, image.pixels, request)


def require_image(subject: Subject) -> InputImage:
    """Return the image that is the only input, for labelled images.

    Raises:
        BadArgument: the model has other inputs.
    """
    samples = subject.samples
    if samples.only_image is None:
        raise BadArgument(
            f"model {subject.model.name!r} has "
            + (
                "several inputs, and `calibration.eval_data` is for one image"
                if samples.images
                else "no image input for `calibration.eval_data`"
            ),
            hint="leave it out",
        )
    return samples.only_image


def _of_classes(
    subject: Subject,
    request: Request,
    image: InputImage,
    graph: ir.Model,
    scratch: Path,
    say: Progress,
) -> dict[str, Any]:
    data = request.calibration.eval_data
    assert data is not None, "there are labelled images"
    classes = labelled.classes_of(subject.outputs, subject.labels)
    form = labelled.form_of(subject.model, image.pixels)
    images = labelled.load(data, classes, form, seed=request.recipe.seed, scratch=scratch, say=say)
    found = subject.preprocessing.answers
    if found is None:
        runner = runner_for(
            channels_last(subject.model), subject.artifact.model, len(images.images)
        )
        prepared = partial(prepare, mode=image.mode)
        step = "running Keras on the labelled images"
        scores = runner.first_output(images.images, prepared, say, step)
        found = labelled.Answers(scores, np.asarray(images.labels))
    entry = labelled.check(found, classes, random=subject.source.weights == "random")
    say("running the graph on the labelled images")
    name = subject.outputs[0].name if subject.ranking is None else "indices"
    best = np.concatenate(
        [_best(outputs[name], name) for outputs in _outputs(graph, image, images, (name,))]
    )
    right = int(np.count_nonzero(best == np.asarray(images.labels)))
    return {**entry, "bundle": labelled.top1_entry(right, len(best))}


def _best(output: Array, name: str) -> Array:
    """Return the best class of each image, from scores or from the best classes themselves."""
    return np.asarray(output[:, 0] if name == "indices" else output.argmax(axis=1))


def _outputs(
    graph: ir.Model, image: InputImage, images: Images, names: tuple[str, ...]
) -> Iterator[dict[str, Array]]:
    """Run a graph on images as the device does, and yield some outputs of each batch."""
    encoded = encode_images(images.images, image.pixels)
    return run_batches(graph, Rows({image.name: encoded}), names)
