"""Stage 2b: how the device resizes images before the graph, tried on labelled images if there are.

A model sees other pixels than in training if its images are resized in another way, and may lose
much accuracy without a fault. Nothing in a model's file says how its images were resized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kexport.arrays import Array
from kexport.calibration.accuracy.intervals import incomplete_beta
from kexport.conversion import input_specs
from kexport.errors import BadArgument
from kexport.measures.tasks import CLASSIFY
from kexport.options.by_input import EVERY, choices, of_input
from kexport.options.image_input import AUTO, ImageInput
from kexport.options.input_image import InputImage
from kexport.progress import Progress
from kexport.source.clone import channels_last
from kexport.source.image_inputs import ImageSpec, image_specs
from kexport.source.open import Source
from kexport.source.preprocessing import prepare
from kexport.stages import labelled
from kexport.stages.convert import Subject
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


def with_default(source: Source, request: Request) -> Request:
    """Return the request with a resizing outside the graph: what was asked for, or the default.

    There is none for a model that takes no image, or images of any size, or that resizes them in
    its graph.

    Raises:
        BadArgument: a resizing was asked for that the model has no use for, or "auto" without
            labelled images.
    """
    specs = image_specs(source.model, source.mode)
    if any(one.resize_outside == AUTO for one in choices(request.image_input)):
        _check_auto(source, specs, request)
    default = OF_APPLICATIONS if source.is_application else OF_MODELS
    chosen = {spec.name: of_input(request.image_input, spec.name) or ImageInput() for spec in specs}
    for spec in specs:
        pixels = chosen[spec.name]
        if not spec.is_sized and pixels.resize_outside is not None:
            raise BadArgument(
                f"model {source.model.name!r} takes images of any size: there is none to resize to",
                hint="leave out `image_input.resize_outside`",
            )
        if spec.is_sized and pixels.resize is None and pixels.resize_outside in (None, AUTO):
            chosen[spec.name] = replace(pixels, resize_outside=default)
    given = request.image_input
    others = given if isinstance(given, Mapping) else {EVERY: given}
    return replace(request, image_input={**others, **chosen})


def _check_auto(source: Source, specs: Sequence[ImageSpec], request: Request) -> None:
    """Refuse to choose a resizing by labelled images without any, or for several inputs."""
    if request.calibration.eval_data is None:
        raise BadArgument(
            f"`image_input.resize_outside` {AUTO!r} needs labelled images",
            hint="give `calibration.eval_data`, a folder with a subfolder for each class",
        )
    if len(input_specs(source.model)) > 1 and specs:
        raise BadArgument(
            f"`image_input.resize_outside` {AUTO!r} is for a model whose only input is an image",
            hint=f"name the method, such as {OF_MODELS}",
        )


def choose(
    subject: Subject, request: Request, *, auto: bool, say: Progress
) -> tuple[Subject, ResizeTrial | None]:
    """Try other resizings on labelled images, if there are any; with `auto`, take the best.

    Args:
        subject: the model.
        request: the arguments of the export, after `with_default`.
        auto: whether the best is to be taken, if it is better by more than chance.
        say: called with a few words when a step starts.

    Raises:
        BadArgument: `auto` for a model that scores no classes; labelled images of no use.
    """
    data, image = request.calibration.eval_data, subject.samples.only_image
    compared = None if image is None else image.pixels.resize_outside
    if data is None or image is None or compared is None:
        return subject, None
    if subject.task["name"] != CLASSIFY:
        if auto:
            raise BadArgument(
                f"`image_input.resize_outside` {AUTO!r} needs a model that scores classes, for the "
                f"task {CLASSIFY}, and this one is {subject.task['name']}",
                hint=f"name the method, such as {OF_MODELS}",
            )
        return subject, None
    trial = _try(
        subject, image, request, data, compared, AUTO_IMAGES if auto else WARNING_IMAGES, say
    )
    if not auto or not trial.is_clear:
        return subject, trial
    pixels = replace(image.pixels, resize_outside=trial.best)
    samples = replace(subject.samples, images=(replace(image, pixels=pixels),))
    settled = replace(subject.preprocessing, answers=None)
    return (
        replace(subject, samples=samples, preprocessing=settled),
        replace(trial, chosen=trial.best),
    )


def _try(
    subject: Subject,
    image: InputImage,
    request: Request,
    data: str | Path,
    compared: str,
    limit: int,
    say: Progress,
) -> ResizeTrial:
    model = channels_last(subject.model)
    classes = labelled.classes_of(subject.outputs, subject.labels)
    right: dict[str, Array] = {}
    for method in dict.fromkeys((compared, *LIKELY)):
        say(f"trying images resized by {method}")
        pixels = replace(image.pixels, resize_outside=method, dtype="float32")
        (answers,) = labelled.answers(
            model,
            subject.artifact.model,
            data,
            classes,
            labelled.form_of(subject.model, pixels),
            {method: partial(prepare, mode=image.mode)},
            seed=request.recipe.seed,
            say=say,
            limit=limit,
        ).values()
        right[method] = answers.right
    best = max(right, key=lambda method: right[method].sum())
    chance = _chance(right[best], right[compared]) * (len(right) - 1)
    return ResizeTrial(
        compared,
        compared,
        best,
        {method: float(found.mean()) for method, found in right.items()},
        len(right[compared]),
        min(chance, 1.0),
    )


def _chance(one: Array, other: Array) -> float:
    """Return how often chance alone would favour `one` as much: an exact, one-sided sign test.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947: only the images count that one has right and the other has
    wrong, and by chance each favours either side as often. The binomial tail is an incomplete beta
    function.
    """
    wins, losses = int((one & ~other).sum()), int((other & ~one).sum())
    return incomplete_beta(0.5, wins, losses + 1) if wins else 1.0
