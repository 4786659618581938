"""Labelled images of tasks other than classify: the judge of a model, and Keras before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexport.arrays import Array
from kexport.calibration.dataset.images import ImageForm, Images, load_files
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.progress import percent_progress
from kexport.measures import tasks
from kexport.measures.examples import Examples, size_of
from kexport.measures.judge import Judge
from kexport.measures.tasks import CLASSIFY, Reading
from kexport.options.image_input import ImageInput
from kexport.outputs import Output
from kexport.progress import Progress
from kexport.runtime.placement import placed
from kexport.runtime.task import Task, task_of
from kexport.stages import labelled
from kexport.stages.keras_runner import KerasRunner, Prepare
from kexport.stages.request import Request

CAUSES = (
    "likely causes: another order of the labels, another preprocessing in training (see "
    "`recipe.preprocess`), another way to resize, or images unlike those of training"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled data of an export, and what is needed to judge its model on them."""

    examples: Examples
    reading: Reading
    seed: int

    def load(self, form: ImageForm, scratch: Path, say: Progress) -> Images:
        """Load the images as the model takes them; their labels are places among the examples.

        Raises:
            BadArgument, OutputFailed: as `load_files`.
        """
        return load_files(
            self.examples.folder,
            self.examples.rows(),
            form,
            limit=labelled.MOST_IMAGES,
            seed=self.seed,
            scratch=scratch,
            progress=percent_progress(say, "decoding the labelled images"),
        )

    def judge(self, images: Images, form: ImageForm) -> Judge:
        """Build the judge of the images that were loaded.

        Raises:
            BadArgument: the labelled data do not suit the model.
        """
        rows = images.labels or ()
        sizes = (size_of(self.examples.folder / name) for name in images.names)
        return Judge(
            self.reading.task,
            self.reading.labels,
            tasks.measure_of(self.examples, self.reading, rows),
            rows,
            tuple(placed(*size, *form.size, form.resize.fit) for size in sizes),
        )


def answers(
    judge: Judge,
    outputs: Sequence[Output],
    runner: KerasRunner,
    images: Inputs,
    prepare: Prepare,
    say: Progress,
) -> Iterator[tuple[list[Any], Array]]:
    """Run Keras on images; yield what the judge keeps, and the first output, of each batch.

    Args:
        judge: of these images.
        outputs: all outputs of the model, in Keras' order.
        runner: runs the model.
        images: the images as they arrive, batch first.
        prepare: makes of a batch of them what the model takes.
        say: called with a few words and the share that is done.
    """
    names, place = [output.name for output in outputs], 0
    for found in runner.batches(images, prepare, say, "running Keras on the labelled images"):
        yield judge.keep(dict(zip(names, found, strict=True)), place), found[0]
        place += len(found[0])


def data_of(
    entry: Mapping[str, Any],
    outputs: Sequence[Output],
    labels: Sequence[str] | None,
    pixels: ImageInput,
    request: Request,
) -> Labelled | None:
    """Return the labelled data of an export, unless there are none or they are of classes.

    Args:
        entry: the manifest's entry of the task.
        outputs: all outputs of the model.
        labels: the labels of the task.
        pixels: the options of the model's only input.
        request: the arguments of the export.

    Raises:
        BadArgument: the data are not of the form that the task has, or it has no measure.
    """
    name, data = entry["name"], request.calibration.eval_data
    if data is None or name == CLASSIFY:
        return None
    task = task_of({"task": entry}, ())
    examples = request.examples or tasks.read(name, Path(data))
    if name == "embed":  # a sample of single images would leave few that belong together
        examples = examples.whole_folders(labelled.MOST_IMAGES, request.recipe.seed)
    count, names = _counted(outputs, task)
    known = None if labels is None else tuple(labels)
    reading = Reading(task, known, count, names, pixels.outside)
    return Labelled(examples, reading, request.recipe.seed)


def check(judge: Judge, kept: Sequence[Any]) -> dict[str, Any]:
    """Measure Keras' answers, for the manifest; warn if they are no better than a guess."""
    entry, doubt = judge.entry(kept), judge.measure.doubt(kept)
    if doubt is not None:
        labelled.warn(f"Keras itself {doubt}, on {len(kept)} labelled images; {CAUSES}")
    return entry


def _counted(outputs: Sequence[Output], task: Task) -> tuple[int, tuple[str, ...]]:
    """Return how many labels, classes or numbers the task's outputs have, and their own names."""
    read = [output for output in outputs if output.name in task.outputs]
    if task.name == "segment":
        return max(read[0].channels or 0, 2), ()
    if task.name == "detect":
        scores = next(one for one in outputs if one.name == task.outputs[1])
        beside = 4 if task.outputs[0] == task.outputs[1] else 0
        return (scores.channels or 0) - beside, ()
    names = [
        output.name if output.classes == 1 else f"{output.name}[{place}]"
        for output in read
        for place in range(output.classes or 0)
    ]
    return len(names), tuple(names) if task.name == "regress" else ()
