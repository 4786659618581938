"""Stage 1b: how the device resizes images before the graph, tried on labelled images if there are.

A model sees other pixels than in training if its images are resized in another way, and may lose
much accuracy without a fault. Nothing in a model's file says how its images were resized.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kexport.arrays import Array
from kexport.calibration.accuracy.intervals import incomplete_beta
from kexport.calibration.dataset.images import ImageForm, load_labelled_images
from kexport.calibration.progress import percent_progress
from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.options.image_input import AUTO
from kexport.parity import keras_outputs
from kexport.parity.samples import is_image_model
from kexport.progress import Progress
from kexport.runtime.resize import Resize
from kexport.source.clone import channels_last
from kexport.source.open import Source
from kexport.source.preprocessing import prepare
from kexport.stages.request import Request

OF_MODELS, OF_APPLICATIONS = "tf-bilinear", "pil-nearest"
"""The defaults: that of `image_dataset_from_directory`, with which Keras' guides train; and that of
`load_img`, which the documentation of Keras Applications uses."""

LIKELY = ("tf-bilinear", "tf-bilinear,crop", "tf-bilinear,pad", "pil-nearest", "pil-bilinear")
"""What is tried: the defaults, the two ways in which `image_dataset_from_directory` keeps the
aspect ratio, and one that antialiases, as most other libraries do. Pixels of the methods that are
left out, such as "cv2-linear", differ too little from one of these to be told by accuracy."""

AUTO_IMAGES, WARNING_IMAGES = 200, 100
"""The largest numbers of labelled images to choose by, and to warn by: the latter tells 98 % from
85 % right."""

AT_ONCE = 16
"""Images in one call of Keras."""

CHANCE = 0.01
"""A method is better than another if chance alone would favour it as much less often than this."""


@dataclass(frozen=True, slots=True)
class ResizeTrial:
    """Keras' accuracy on labelled images for each way of resizing that was tried."""

    chosen: str
    """How the bundle resizes."""
    compared: str
    """What the user asked for, or the default; what `best` had to beat."""
    best: str
    """The one that has most images right."""
    accuracies: dict[str, float]
    images: int
    chance: float
    """How often chance alone would favour one of the methods over `compared` as much."""

    @property
    def is_clear(self) -> bool:
        """Whether `best` is better than `compared` by more than chance."""
        return self.best != self.compared and self.chance < CHANCE


def choose(source: Source, request: Request, say: Progress) -> tuple[Request, ResizeTrial | None]:
    """Return the request with the resizing outside the graph chosen, and the trial, if any.

    Nothing is chosen for a model that takes no image, or images of any size, or that resizes them
    in its graph.

    Raises:
        BadArgument: a resizing was asked for that the model has no use for; "auto" without labelled
            images or class scores; labelled images of no use.
    """
    pixels, asked = request.image_input, request.image_input.resize_outside
    size = _size(source.model)
    if asked is not None and size is None and is_image_model(source.model):
        raise BadArgument(
            f"model {source.model.name!r} takes images of any size: there is none to resize to",
            hint="leave out `image_input.resize_outside`",
        )
    data, classes = request.calibration.eval_data, _classes(source, request)
    if asked == AUTO and (data is None or classes is None):
        lacks = "labelled images" if data is None else "a model that scores classes"
        raise BadArgument(
            f"`image_input.resize_outside` 'auto' needs {lacks}",
            hint="give `calibration.eval_data`, a folder with a subfolder for each class"
            if data is None
            else f"name the method, such as {OF_MODELS}",
        )
    is_idle = size is None or pixels.resize is not None or classes is None
    if data is not None and is_idle and request.target.precision != "int8":
        raise BadArgument(
            f"`calibration.eval_data` has no use for this model in {request.target.precision}: it "
            "shows how images of one size are to be resized before a model that scores classes",
            hint="leave it out",
        )
    if size is None or pixels.resize is not None:
        return request, None
    default = OF_APPLICATIONS if source.is_application else OF_MODELS
    compared = default if asked in (None, AUTO) else str(asked)
    trial = None
    if data is not None and classes is not None:
        trial = _try(source, data, classes, size, compared, request, say)
    chosen = trial.best if trial is not None and asked == AUTO and trial.is_clear else compared
    if trial is not None:
        trial = replace(trial, chosen=chosen)
    return replace(request, image_input=replace(pixels, resize_outside=chosen)), trial


def _size(model: keras.Model) -> tuple[int, int] | None:
    """Return height and width of the model's image; None if they are open, or it takes none."""
    if not is_image_model(model):
        return None
    _, height, width, _ = input_specs(model)[0].shape
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _classes(source: Source, request: Request) -> Sequence[str] | int | None:
    """Return the labels of the classes, or their number; None if the output is no class scores."""
    shape = tuple(source.model.outputs[0].shape)
    if len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 2:
        return None
    labels = request.class_names or source.labels
    return labels if labels is not None and len(labels) == shape[1] else shape[1]


def _try(
    source: Source,
    data: str | Path,
    classes: Sequence[str] | int,
    size: tuple[int, int],
    compared: str,
    request: Request,
    say: Progress,
) -> ResizeTrial:
    methods = tuple(dict.fromkeys((compared, *LIKELY)))
    right: dict[str, Array] = {}
    for method in methods:
        right[method] = _right(source, data, classes, size, method, request, say)
    best = max(methods, key=lambda method: right[method].sum())
    chance = _chance(right[best], right[compared]) * (len(methods) - 1)
    return ResizeTrial(
        compared,
        compared,
        best,
        {method: float(found.mean()) for method, found in right.items()},
        len(right[compared]),
        min(chance, 1.0),
    )


def _right(
    source: Source,
    data: str | Path,
    classes: Sequence[str] | int,
    size: tuple[int, int],
    method: str,
    request: Request,
    say: Progress,
) -> Array:
    """Return for each labelled image whether Keras has its class right, resized by a method."""
    model = channels_last(source.model)
    channels = int(input_specs(source.model)[0].shape[3])
    progress = percent_progress(say, f"trying {method}")
    with tempfile.TemporaryDirectory(prefix="kexport-") as scratch:
        found = load_labelled_images(
            data,
            classes,
            ImageForm(size, Resize.named(method), channels, "float32"),
            limit=AUTO_IMAGES if request.image_input.resize_outside == AUTO else WARNING_IMAGES,
            seed=request.recipe.seed,
            scratch=Path(scratch),
        )
        right, labels = [], np.asarray(found.labels)
        for start in range(0, len(labels), AT_ONCE):
            part = prepare(np.asarray(found.images[start : start + AT_ONCE]), source.mode)
            outputs = keras_outputs.compute(model, [part], ["scores"], at_once=AT_ONCE)
            scores = outputs.outputs["scores"]
            right.append(scores.argmax(axis=1) == labels[start : start + AT_ONCE])
            progress(start + len(part), len(labels))
    return np.concatenate(right)


def _chance(one: Array, other: Array) -> float:
    """Return how often chance alone would favour `one` as much: an exact, one-sided sign test.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947: only the images count that one has right and the other has
    wrong, and by chance each favours either side as often. The binomial tail is an incomplete beta
    function.
    """
    wins, losses = int((one & ~other).sum()), int((other & ~one).sum())
    return incomplete_beta(0.5, wins, losses + 1) if wins else 1.0
