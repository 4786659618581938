"""Class labels: read labels.txt, and pair the best scores with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BundleRefused
from .manifest_schema import RANKED, SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import Manifest

NAME = "labels.txt"


@dataclass(frozen=True)
class Prediction:
    """One predicted class: its index in the output, its label, and its score.

    The score is a probability, unless the model itself returns the logits of its best classes.
    """

    index: int
    label: str
    score: float


def read_labels(bundle: Path, manifest: Manifest) -> tuple[str, ...] | None:
    """Read `<bundle>/labels.txt`: UTF-8, one label a line, line k (from 0) for class k.

    Returns None if the manifest lists no such file. Raises BundleRefused if the file cannot be
    read, or the number of labels is not the model's number of classes.
    """
    if NAME not in manifest.files:
        return None
    try:
        text = (bundle / NAME).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleRefused(f"{NAME} cannot be read: {error}") from error
    lines = text.split("\n")
    labels = tuple(line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines))
    for output in manifest.outputs:
        if output.name not in manifest.task.outputs:
            continue
        classes = output.shape[-1] if output.shape else None
        if output.kind in RANKED:
            classes = output.classes
        scores = output.kind in (*SCORES, *RANKED)
        if scores and classes is not None and classes != len(labels):
            raise BundleRefused(
                f"{NAME} has {len(labels)} labels, but the model has {classes} classes",
                hint="export again with the labels that the model was trained on",
            )
    return labels


def ranked(scores: NDArray[Any], labels: Sequence[str] | None, count: int) -> list[Prediction]:
    """Return the `count` best classes of a vector of scores (or all, if fewer), best first.

    Equal scores keep the order of their indices.
    """
    best = np.argsort(-scores, kind="stable")[:count]
    return named(best, scores[best], labels)


def named(
    indices: NDArray[Any], scores: NDArray[Any], labels: Sequence[str] | None
) -> list[Prediction]:
    """Return a prediction for each class in `indices`, in that order, with its score.

    Without labels, the label is the word "class" and the index.
    """
    pairs = zip(indices.tolist(), scores.tolist())
    known = labels or ()
    return [
        Prediction(i, known[i] if 0 <= i < len(known) else f"class {i}", score)
        for i, score in pairs
    ]
