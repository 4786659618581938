"""Class names: the model's own, a file's, or those of the folders that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kexport.conversion import Converted
from kexport.errors import BadArgument
from kexport.source.open import imagenet_labels


def class_folders(path: Path) -> list[str]:
    """The subfolders' names as `image_dataset_from_directory(labels="inferred")` has them.

    Keras sorts them by code point and leaves out what begins with a dot or is no folder
    (keras.src.utils.dataset_utils.index_directory).

    Raises:
        BadArgument: there is no such folder, it cannot be read, or it has no subfolders.
    """
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
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


IMAGENET = "imagenet"


Said = str | Path | Sequence[str]
"""How a user names labels: see `read`."""


def read(said: Said) -> tuple[str, ...]:
    """The labels that a user names.

    Args:
        said: a file (UTF-8, one label a line); a folder with one subfolder for each class, whose
            names are taken in the order of `keras.utils.image_dataset_from_directory`;
            "imagenet", for the 1000 classes of ImageNet; or the labels themselves.

    Raises:
        BadArgument: the file or folder cannot be read, or holds no label; a label is empty or has
            a line break.
    """
    if said == IMAGENET:
        return imagenet_labels()
    if isinstance(said, (str, Path)):
        path = Path(said)
        return tuple(class_folders(path)) if path.is_dir() else _file(path)
    labels = tuple(said)
    if not labels or not all(label and len(label.splitlines()) == 1 for label in labels):
        raise BadArgument(
            "labels have to be one line of text each, and at least one",
            hint="give them in the order of the classes",
        )
    return labels


def fit(
    labels: tuple[str, ...] | None,
    converted: Converted,
    said: Said | None,
) -> tuple[str, ...] | None:
    """The labels if they suit a classifier among the outputs; none where nothing is classified.

    `said` is how the user named them, or None where they are the model's own.

    Raises:
        BadArgument: labels that the user gave do not match the number of classes.
    """
    widths = [
        value.shape[-1]
        for value, output in zip(converted.model.graph.outputs, converted.outputs, strict=True)
        if output.kind in ("probabilities", "logits") and value.shape is not None
    ]
    if labels is not None and len(labels) in widths:
        return labels
    if said is None:
        return None
    classes = " or ".join(str(width) for width in widths) or "no"
    raise BadArgument(
        f"{_name(said)} {len(labels or ())} labels, and the model has {classes} classes",
        hint="give one label for each class, in the order of the classes",
    )


def _file(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(
            f"labels file {path} cannot be read: {error}",
            hint="give a UTF-8 text file, a training folder, or the word imagenet",
        ) from error
    labels = tuple(line.strip() for line in lines)
    while labels and not labels[-1]:
        labels = labels[:-1]
    if not labels or not all(labels):
        raise BadArgument(
            f"labels file {path} has {'no labels' if not labels else 'an empty line'}",
            hint="write one label a line, in the order of the classes",
        )
    return labels


def _name(said: Said) -> str:
    if not isinstance(said, (str, Path)):
        return "there are"
    if said == IMAGENET:
        return "ImageNet has"
    return f"{'training folder' if Path(said).is_dir() else 'labels file'} {said} has"
