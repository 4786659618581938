"""Labelled images: Keras on them, and what they say about the labels and the preprocessing."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.class_order import OtherOrder, other_order
from kexport.calibration.accuracy.keras_doubts import KerasAccuracy, measure
from kexport.calibration.dataset.images import Images, load_labelled_images
from kexport.calibration.progress import Say, percent_progress
from kexport.conversion import input_specs
from kexport.errors import BadArgument, ExportWarning
from kexport.outputs import SCORED, Output
from kexport.parity import keras_outputs
from kexport.parity.samples.images import OPEN_SIZE
from kexport.runtime.compare import softmax

MOST_IMAGES = 500
"""The largest number of labelled images that are used."""

KERAS_BYTES, MOST_AT_ONCE = 1 << 28, 32
"""The size of the tensors of the graph for a call of Keras, and the most images in one."""

LISTED_CLASSES = 20
"""The largest number of classes whose order a message lists."""

Prepare = Callable[[Array], Array]
"""Makes of images as they arrive, batch first, what the model takes."""

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
    size: tuple[int, int, int],
    *,
    seed: int,
    scratch: Path,
    say: Say,
) -> Images:
    """Load labelled images of a model's height, width and channels.

    Raises:
        BadArgument, OutputFailed: as `load_labelled_images`.
    """
    return load_labelled_images(
        folder,
        classes.labels or classes.count,
        size[:2],
        size[2],
        limit=MOST_IMAGES,
        seed=seed,
        scratch=scratch,
        progress=percent_progress(say, "decoding the labelled images"),
    )


def answers(
    model: keras.Model,
    graph: ir.Model,
    outputs: Sequence[Output],
    folder: str | Path,
    classes: Classes,
    prepares: Mapping[str, Prepare],
    *,
    seed: int,
    say: Say,
) -> dict[str, Answers]:
    """Run Keras on labelled images of the model's size, once for each preprocessing by name.

    Raises:
        BadArgument, OutputFailed: as `load_labelled_images`.
    """
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        size = image_size(model)
        images = load(folder, classes, size, seed=seed, scratch=Path(scratch), say=say)
        scores = {
            name: run_keras(
                model,
                images.images,
                prepare,
                [output.name for output in outputs],
                at_once=batch_for(graph),
                say=say,
                step=f"running Keras on the labelled images, preprocessed as {name}",
            )
            for name, prepare in prepares.items()
        }
    truth = np.asarray(images.labels)
    return {name: Answers(found, truth) for name, found in scores.items()}


def image_size(model: keras.Model) -> tuple[int, int, int]:
    """Return height, width and channels of a model's images; OPEN_SIZE where they are open."""
    _, height, width, channels = input_specs(model)[0].shape
    return (
        height if isinstance(height, int) else OPEN_SIZE[0],
        width if isinstance(width, int) else OPEN_SIZE[1],
        int(channels),
    )


def run_keras(
    model: keras.Model,
    images: Array,
    prepare: Prepare,
    names: Sequence[str],
    *,
    at_once: int,
    say: Say,
    step: str,
) -> Array:
    """Run Keras on images, some at a time, and return its first output, batch first.

    Args:
        model: the model.
        images: images as they arrive, batch first.
        prepare: makes of some of them what the model takes.
        names: the names of the outputs.
        at_once: how many images Keras runs at once.
        say: called with `step` and the share that is done.
        step: a few words for progress.
    """
    progress = percent_progress(say, step)
    outputs = []
    for start in range(0, len(images), at_once):
        some = prepare(images[start : start + at_once])
        found = keras_outputs.compute(model, [some], names, at_once=at_once)
        outputs.append(found.outputs[names[0]])
        progress(min(start + at_once, len(images)), len(images))
    return np.concatenate(outputs)


def batch_for(graph: ir.Model) -> int:
    """Compute how many images Keras runs at once: it keeps all tensors of a call in memory."""
    values = (value for node in graph.graph for value in node.outputs)
    each = 4 * sum(math.prod(_extents(value)[1:]) for value in values)
    return min(max(KERAS_BYTES // max(each, 1), keras_outputs.AT_ONCE), MOST_AT_ONCE)


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
    low, high = found.interval
    return {"images": found.images, "top1": found.top1, "interval": [low, high]}


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


def _extents(value: ir.Value) -> list[int]:
    """Return the extents of a tensor; open ones count as 1."""
    return [dim if isinstance(dim, int) else 1 for dim in value.shape or ()]
