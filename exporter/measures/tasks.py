"""The labelled data of each task, and its measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kexport.errors import BadArgument, did_you_mean
from kexport.measures.boxes import FoundBoxes
from kexport.measures.class_folders import read_groups, read_two_folders
from kexport.measures.coco_file import read_boxes
from kexport.measures.csv_file import read_flags, read_numbers
from kexport.measures.decisions import Decisions
from kexport.measures.examples import Columns, Examples, Folders, Objects, Partners
from kexport.measures.masks import Masks
from kexport.measures.measure import Measure
from kexport.measures.numbers import Errors, spreads_of
from kexport.measures.output_images import Similarity
from kexport.measures.pairs import read_masks, read_targets
from kexport.measures.vectors import Neighbours
from kexport.runtime.resize import UNSTATED, Resize
from kexport.runtime.task import Task
from kexport.source.labels import classes_of_folders

CLASSIFY = "classify"
"""The task whose images are in class folders, and which is judged by `calibration.accuracy`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a model when its measure is built.

    `count` is the number of its labels, classes or numbers, `names` what it calls its numbers.
    """

    task: Task
    labels: tuple[str, ...] | None
    count: int
    names: tuple[str, ...] = ()
    resize: Resize = UNSTATED
    """How images of another size become the model's."""


def read(task: str, path: Path) -> Examples:
    """Read the labelled data of a task other than classify; this needs no model.

    Raises:
        BadArgument: the task has no measure, or the data are of another form.
    """
    if task not in KITS:
        raise BadArgument(
            f"the task {task} has no measure: nothing tells which arrays are right",
            hint="choose another task with `task.name`, or leave out `calibration.eval_data`",
        )
    return KITS[task][0](path)


def measure_of(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    """Build the measure of a model's task.

    Args:
        examples: its labelled data.
        reading: the model.
        used: the places of the examples that are used.

    Raises:
        BadArgument: the labelled data do not suit the model.
    """
    return KITS[reading.task.name][1](examples, reading, used)


def _of_yes_and_no(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del used
    truths, labels = examples.truths, reading.labels or ()
    assert isinstance(truths, Folders)
    names = truths.names
    if len(labels) == 1 and labels[0] in names:
        of_folder = {name: int(name == labels[0]) for name in names}
    else:
        of_folder = classes_of_folders(examples.folder, names, labels if len(labels) == 2 else 2)
    yes = np.array([of_folder[names[place]] for place in truths.places], bool)
    return Decisions(yes[:, np.newaxis], reading.task.threshold or 0.0)


def _of_labels(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del used
    columns = _ordered(examples, reading, reading.labels)
    return Decisions(columns.values.astype(bool), reading.task.threshold or 0.0)


def _of_boxes(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del used
    assert isinstance(examples.truths, Objects)
    names, labels = examples.truths.names, reading.labels
    if labels is None and len(names) != reading.count:
        raise BadArgument(
            f"the labelled boxes have {len(names)} categories, and the model {reading.count} "
            "classes",
            hint="name the classes with `labels`, in the order of the outputs",
        )
    unknown = [name for name in names if labels is not None and name not in labels]
    if unknown:
        raise BadArgument(
            f"the category {unknown[0]!r} of the labelled boxes is none of the model's labels",
            hint=did_you_mean(unknown[0], labels or ()) or "name the categories like the labels",
        )
    places = np.array(
        [place if labels is None else labels.index(name) for place, name in enumerate(names)]
    )
    boxes = tuple(replace(one, classes=places[one.classes]) for one in examples.truths.boxes)
    return FoundBoxes(boxes, reading.count)


def _of_vectors(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del reading, used
    assert isinstance(examples.truths, Folders)
    return Neighbours(examples.truths.places)


def _of_images(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del used
    assert isinstance(examples.truths, Partners)
    return Similarity(examples.truths.paths, reading.resize)


def _of_masks(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    del used
    assert isinstance(examples.truths, Partners)
    return Masks(examples.truths.paths, reading.count)


def _of_numbers(examples: Examples, reading: Reading, used: Sequence[int]) -> Measure:
    columns = _ordered(examples, reading, reading.labels or reading.names)
    spreads = spreads_of(columns.values[list(used)])
    if not spreads.all():
        name = columns.names[int(np.flatnonzero(spreads == 0)[0])]
        raise BadArgument(
            f"{name!r} is the same for all labelled images, so that no error can be judged",
            hint="give images with different numbers in `calibration.eval_data`",
        )
    return Errors(columns.values, columns.names, spreads)


def _ordered(examples: Examples, reading: Reading, wanted: Sequence[str] | None) -> Columns:
    """Return the columns in the order of the names that the model has, if it has some."""
    columns = examples.truths
    assert isinstance(columns, Columns)
    if wanted is None or (reading.labels is None and set(wanted) != set(columns.names)):
        if len(columns.names) != reading.count:
            raise BadArgument(
                f"the CSV file of {examples.folder} has {len(columns.names)} columns after the "
                f"first, and the model gives {reading.count}",
                hint="write one for each, in the order of the outputs, or name them with `labels`",
            )
        return columns
    unknown = [name for name in columns.names if name not in wanted]
    missing = [name for name in wanted if name not in columns.names]
    if unknown or missing:
        what = f"has the column {unknown[0]!r}, which is none" if unknown else ""
        what = what or f"has no column {missing[0]!r}, which is one"
        raise BadArgument(
            f"the CSV file of {examples.folder} {what} of the model's labels",
            hint=did_you_mean((unknown or missing)[0], missing or columns.names)
            or f"name its columns {', '.join(wanted)}",
        )
    order = [columns.names.index(name) for name in wanted]
    return Columns(tuple(wanted), columns.values[:, order])


KITS: dict[
    str,
    tuple[
        Callable[[Path], Examples],
        Callable[[Examples, Reading, Sequence[int]], Measure],
    ],
] = {
    "binary": (read_two_folders, _of_yes_and_no),
    "multilabel": (read_flags, _of_labels),
    "segment": (read_masks, _of_masks),
    "detect": (read_boxes, _of_boxes),
    "regress": (read_numbers, _of_numbers),
    "embed": (read_groups, _of_vectors),
    "image": (read_targets, _of_images),
}
"""How the labelled data of each task are read, and its measure built."""
