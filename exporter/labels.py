"""Class names: the model's own, or a file's."""

from __future__ import annotations

from pathlib import Path

from kexport.conversion import Converted
from kexport.errors import BadArgument


def choose(own: tuple[str, ...] | None, file: Path | None) -> tuple[str, ...] | None:
    """The labels of `file` (UTF-8, one a line), or the model's own where none is given.

    Raises:
        BadArgument: the file cannot be read, or holds no label.
    """
    if file is None:
        return own
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(
            f"labels file {file} cannot be read: {error}", hint="give a UTF-8 text file"
        ) from error
    labels = tuple(line.strip() for line in lines)
    while labels and not labels[-1]:
        labels = labels[:-1]
    if not labels or not all(labels):
        raise BadArgument(
            f"labels file {file} has {'no labels' if not labels else 'an empty line'}",
            hint="write one label a line, in the order of the classes",
        )
    return labels


def fit(
    labels: tuple[str, ...] | None, converted: Converted, file: Path | None
) -> tuple[str, ...] | None:
    """The labels if they suit a classifier among the outputs; none where nothing is classified.

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
    if file is None:
        return None
    classes = " or ".join(str(width) for width in widths) or "no"
    raise BadArgument(
        f"labels file {file} has {len(labels or ())} labels, and the model has {classes} classes",
        hint="write one label a line, in the order of the classes",
    )
