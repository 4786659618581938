"""Class labels: of ImageNet, from a file, or from the folders of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from kexport.errors import BadArgument, did_you_mean
from kexport.source.label_files import read_file


def imagenet_labels() -> tuple[str, ...]:
    """Read ImageNet's 1000 class names, as Keras' `decode_predictions` returns them."""
    text = (resources.files("kexport.data") / "imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def class_folders(path: Path) -> list[str]:
    """Return the subfolders' names as `image_dataset_from_directory(labels="inferred")` does.

    Keras sorts them by code point, and skips files and names that begin with a dot
    (keras.src.utils.dataset_utils.index_directory).

    Raises:
        BadArgument: there is no such folder, it cannot be read, or it has no subfolders.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadArgument(f"{path} {what}", hint="give a folder with a subfolder for each class")
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    except OSError as error:
        raise BadArgument(
            f"the folder {path} cannot be read: {error.strerror or error}",
            hint="give yourself the right to list it",
        ) from error
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise BadArgument(
            f"the folder {path} has no subfolders",
            hint="give the folder that holds one subfolder for each class",
        )
    return names


def classes_of_folders(
    folder: Path, names: Sequence[str], classes: Sequence[str] | int
) -> dict[str, int]:
    """Return the class of each subfolder, by the subfolder's name.

    A subfolder named like one of the labels contains that class. Where no name is a label, or there
    are no labels, the number of subfolders must be that of the classes, and they are the classes in
    sorted order.

    Args:
        folder: the folder, for messages.
        names: the names of its subfolders (`class_folders`).
        classes: the label of each class, or the number of classes.

    Raises:
        BadArgument: the subfolders do not match the classes.
    """
    labels = () if isinstance(classes, int) else tuple(classes)
    count = classes if isinstance(classes, int) else len(labels)
    unknown = [name for name in names if name not in labels]
    if labels and len(unknown) < len(names):
        doubled = [name for name in names if labels.count(name) > 1]
        if unknown:
            raise BadArgument(
                f"the subfolder {unknown[0]!r} of {folder} is none of the model's classes",
                hint=did_you_mean(unknown[0], labels) or "name it like one of the labels",
            )
        if doubled:
            raise BadArgument(
                f"the model has {labels.count(doubled[0])} classes named {doubled[0]!r}",
                hint="give labels that differ",
            )
        return {name: labels.index(name) for name in names}
    if len(names) != count:
        raise BadArgument(
            f"the folder {folder} has {len(names)} subfolders, and the model has {count} classes",
            hint="make one for each class, in sorted order, or name them like the labels",
        )
    return {name: index for index, name in enumerate(names)}


IMAGENET = "imagenet"
"""Names the labels of ImageNet, in the place of a file."""

Labels = str | Path | Sequence[str | int]
"""Labels as a user gives them: see `read`."""


def read(given: Labels) -> tuple[str, ...]:
    """Read the labels that a user gives.

    Args:
        given: a file of labels (`read_file`); a folder with one subfolder for each class, whose
            names are taken in the order of `keras.utils.image_dataset_from_directory`;
            "imagenet", for the 1000 classes of ImageNet; or the labels themselves.

    Raises:
        BadArgument: the file or folder cannot be read, or holds no label; a label is empty or has
            a line break.
    """
    if given == IMAGENET:
        return imagenet_labels()
    if isinstance(given, (str, Path)):
        path = Path(given)
        return tuple(class_folders(path)) if path.is_dir() else read_file(path)
    labels = tuple(map(str, given))
    if not labels or not all(label and len(label.splitlines()) == 1 for label in labels):
        raise BadArgument(
            "labels must be at least one, each one line of text",
            hint="give them in the order of the classes",
        )
    return labels


def fit(
    labels: tuple[str, ...] | None,
    counts: Sequence[int],
    given: Labels | None,
) -> tuple[str, ...] | None:
    """Return the labels if the task has a use for as many; otherwise None.

    `counts` are the numbers of labels that the task has a use for. `given` is how the user gave the
    labels, or None where they are the model's own.

    Raises:
        BadArgument: the task has no use for that many labels that the user gave.
    """
    if labels is not None and len(labels) in counts:
        return labels
    if given is None:
        return None
    if not counts:
        raise BadArgument(
            f"{_name(given)} {len(labels or ())} labels, but nothing tells that the model's "
            "outputs are scores of labels",
            hint="say what they are with `task.name`, such as multilabel, or leave out `labels`",
        )
    raise BadArgument(
        f"{_name(given)} {len(labels or ())} labels, but the model has "
        f"{' or '.join(map(str, counts))} classes",
        hint="give one label for each class, in the order of the classes",
    )


def _name(given: Labels) -> str:
    if not isinstance(given, (str, Path)):
        return "there are"
    if given == IMAGENET:
        return "ImageNet has"
    return f"{'training folder' if Path(given).is_dir() else 'labels file'} {given} has"
