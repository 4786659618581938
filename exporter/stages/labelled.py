"""Labelled images: Keras on them, and what they say about the labels and the preprocessing."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.class_order import OtherOrder, other_order
from kexport.calibration.accuracy.intervals import Interval, share_interval
from kexport.calibration.accuracy.keras_doubts import KerasAccuracy, measure
from kexport.calibration.dataset.images import ImageForm, Images, load_labelled_images
from kexport.calibration.progress import Say, percent_progress
from kexport.conversion import input_specs
from kexport.errors import BadArgument, ExportWarning
from kexport.measures.resample import CONFIDENCE
from kexport.options.image_input import ImageInput
from kexport.outputs import SCORED, Output
from kexport.parity.samples.images import OPEN_SIZE
from kexport.runtime.compare import softmax
from kexport.stages.keras_runner import Prepare, runner_for

MOST_IMAGES = 500
"""The largest number of labelled images that are used."""

LISTED_CLASSES = 20
"""The largest number of classes whose order a message lists."""

CAUSES = (
    "likely causes: another preprocessing in training (see `recipe.preprocess`), another order of "
    "classes, another way to resize, or images unlike those of training"
)


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that an output scores."""

    output: Output
    count: int
    labels: tuple[str, ...] | None

    def name(self, index: int) -> str:
        """Return the label of a class, or its number."""
        return f"class {index}" if self.labels is None else repr(self.labels[index])


@dataclass(frozen=True, slots=True)
class Answers:
    """Keras' scores on labelled images, [N, classes], and the class of each."""

    scores: Array
    labels: Array

    @property
    def right(self) -> Array:
        """Whether the best class is that of the image, for each image."""
        return np.asarray(self.scores.argmax(axis=1) == self.labels)


def classes_of(outputs: Sequence[Output], labels: Sequence[str] | None) -> Classes:
    """Return the classes that the first output scores.

    Raises:
        BadArgument: it has no scores of classes to compare with labels.
    """
    first = outputs[0]
    if first.classes is None or first.kind not in SCORED:
        raise BadArgument(
            f"the output {first.name!r} has no scores of classes to compare with labels",
            hint="leave out `calibration.eval_data`",
        )
    return Classes(first, first.classes, None if labels is None else tuple(labels))


def load(
    folder: str | Path,
    classes: Classes,
    form: ImageForm,
    *,
    seed: int,
    scratch: Path,
    say: Say,
    limit: int = MOST_IMAGES,
) -> Images:
    """Load labelled images as a model takes them.

    Raises:
        BadArgument, OutputFailed: as `load_labelled_images`.
    """
    return load_labelled_images(
        folder,
        classes.labels or classes.count,
        form,
        limit=limit,
        seed=seed,
        scratch=scratch,
        progress=percent_progress(say, "decoding the labelled images"),
    )


def answers(
    model: keras.Model,
    graph: ir.Model,
    folder: str | Path,
    classes: Classes,
    form: ImageForm,
    prepares: Mapping[str, Prepare],
    *,
    seed: int,
    say: Say,
    limit: int = MOST_IMAGES,
) -> dict[str, Answers]:
    """Run Keras on up to `limit` labelled images, once for each preprocessing by name.

    Raises:
        BadArgument, OutputFailed: as `load_labelled_images`.
    """
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        images = load(folder, classes, form, seed=seed, scratch=Path(scratch), say=say, limit=limit)
        runner = runner_for(model, graph, len(prepares) * len(images.images))
        scores = {
            name: runner.first_output(
                images.images,
                prepare,
                say,
                f"running Keras on the labelled images, preprocessed as {name}",
            )
            for name, prepare in prepares.items()
        }
    truth = np.asarray(images.labels)
    return {name: Answers(found, truth) for name, found in scores.items()}


def form_of(model: keras.Model, pixels: ImageInput) -> ImageForm:
    """Return the images that a model takes, of OPEN_SIZE where its height or width is open."""
    _, height, width, channels = input_specs(model)[0].shape
    size = (
        height if isinstance(height, int) else OPEN_SIZE[0],
        width if isinstance(width, int) else OPEN_SIZE[1],
    )
    return ImageForm(size, pixels.outside, int(channels), pixels.dtype)


def check(answers: Answers, classes: Classes, *, random: bool) -> dict[str, Any]:
    """Check Keras' scores on labelled images, and return the accuracy for the manifest.

    Warns if Keras is no better than chance, or much less often right than it is sure, and if
    another order of classes fits a little better.

    Args:
        answers: Keras' first output, and the labels.
        classes: the classes.
        random: whether the weights are random, so that nothing is to be expected.

    Raises:
        BadArgument: another order of classes fits clearly better.
    """
    found = accuracy(answers, classes)
    predicted = answers.scores.argmax(axis=1)
    other = None if random else other_order(predicted, answers.labels, classes.count)
    if other is not None:
        _report(other, classes)
    elif found.doubt is not None and not random:
        warn(f"{_told(found)}; {CAUSES}")
    return {**_top1_entry(found.right, found.images, found.interval), "top1": found.top1}


def top1_entry(right: int, images: int) -> dict[str, Any]:
    """Build the manifest's entry about a model that is right on so many of the labelled images."""
    return _top1_entry(right, images, share_interval(right, images, CONFIDENCE))


def _top1_entry(right: int, images: int, interval: Interval) -> dict[str, Any]:
    measure = {"measure": "top1", "value": right / images, "interval": list(interval)}
    return {"images": images, **measure, "measures": {"top1": right / images}}


def warn(message: str) -> None:
    """Warn of something that is probably not what the user wants."""
    warnings.warn(message, ExportWarning, stacklevel=2)


def accuracy(answers: Answers, classes: Classes) -> KerasAccuracy:
    """Measure how often Keras is right, and how sure it is."""
    scores = answers.scores
    if classes.output.kind == "logits":
        scores = softmax(scores)
    return measure(scores, answers.labels)


def _told(found: KerasAccuracy) -> str:
    share = f"Keras itself is right on {found.top1:.1%} of {found.images} labelled images"
    if found.doubt == "chance":
        return f"{share}, which is no better than chance ({found.by_chance:.1%})"
    return f"{share}, and {found.sureness:.1%} sure of its answers"


def _report(other: OtherOrder, classes: Classes) -> None:
    """Say that another order fits better, as an error if that is clear."""
    one, taken = next(iter(other.moved.items()))
    message = (
        f"the labels are in another order than the model's classes: it takes the images of "
        f"{classes.name(one)} for {classes.name(taken)}, and is right on {other.before:.1%} of the "
        f"labelled images, on {other.after:.1%} in the order that fits best"
    )
    if not other.is_clear:
        warn(f"it may be that {message}; compare `labels` with the class names of training")
        return
    raise BadArgument(message, hint=_order_hint(other, classes))


def _order_hint(other: OtherOrder, classes: Classes) -> str:
    closed = set(other.moved) == set(other.moved.values())
    if classes.labels is None or classes.count > LISTED_CLASSES or not closed:
        return "give `labels` in the order of the class names in training"
    order = list(classes.labels)
    for label, place in other.moved.items():
        order[place] = classes.labels[label]
    return f"give `labels` in the order of training, which seems to be: {', '.join(order)}"
