"""The measure of each example, for Keras as its tutorial takes it, and for a bundle's answers.

Each example has a pair of functions. One gets the module `train.py`, the model and the folder of
held-out data; the other the same module, the answers that `kexport run --jsonl` prints, and that
folder. Both return the same measure, in percent unless its row says otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from fruit import KINDS as FRUITS
from PIL import Image
from stall import MOST

EDGES = ("left", "top", "right", "bottom")

Answers = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, and how for Keras and for a bundle."""

    name: str
    of_keras: Callable[[ModuleType, keras.Model, Path], float]
    of_bundle: Callable[[ModuleType, Answers, Path], float]


def mean_iou(found: np.ndarray, masks: np.ndarray) -> float:
    """Return the mean over the classes of intersection over union."""
    measure = keras.metrics.MeanIoU(int(max(found.max(), masks.max())) + 1)
    measure.update_state(masks, found)
    return 100 * float(measure.result())


def segment_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Compare the best class of each cell with the mask."""
    dataset = train.get_dataset(folder)
    return mean_iou(model.predict(dataset, verbose=0).argmax(axis=-1), labels_of(dataset)[..., 0])


def segment_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Compare the PNG files of --save, read as the tutorial reads masks."""
    saved = (np.asarray(Image.open(one["saved"]))[..., np.newaxis] for one in answers)
    found = [tf.image.resize(mask, train.IMG_SIZE, method="nearest") for mask in saved]
    return mean_iou(np.stack(found)[..., 0], labels_of(train.get_dataset(folder))[..., 0])


def classify_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Compare the largest number with the class."""
    dataset = train.get_dataset(folder, shuffle=False)
    return percent(model.predict(dataset, verbose=0).argmax(axis=-1) == labels_of(dataset))


def classify_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Compare the best label with the folder's name."""
    return percent(one["predictions"][0]["label"] == folder_of(one) for one in answers)


def binary_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Compare the sigmoid of the number, from 0.5 on, with the class."""
    dataset = train.get_dataset(folder, shuffle=False)
    scores = keras.ops.sigmoid(model.predict(dataset, verbose=0)[:, 0])
    return percent((np.asarray(scores) >= 0.5) == labels_of(dataset))


def binary_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Compare the answer with the folder's name."""
    return percent(one["decision"]["label"] == folder_of(one) for one in answers)


def multilabel_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Compare each score, from 0.5 on, with whether the label is there: binary_accuracy."""
    dataset = train.get_dataset(folder)
    return percent((model.predict(dataset, verbose=0) >= 0.5) == labels_of(dataset))


def multilabel_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Compare the labels that are given with the table."""
    rows = rows_of(folder / "labels.csv")
    given = ({label["label"] for label in one["labels"]} for one in answers)
    pairs = zip(rows, given, strict=True)
    return percent((row[name] == "1") == (name in names) for row, names in pairs for name in FRUITS)


def detect_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Count boxes that overlap the true one by half or more (IoU), with the right class."""
    images, labels, boxes = train.load_data(folder)
    found, scores = model.predict(images, verbose=0)
    overlaps = np.array([iou(*pair) for pair in zip(found, boxes, strict=True)])
    return percent((scores.argmax(axis=-1) == labels) & (overlaps >= 0.5))


def detect_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Count them in pixels of the images."""
    right = []
    for row, one in zip(rows_of(folder / "boxes.csv"), answers, strict=True):
        (box,) = one["boxes"] or [None]
        edges = [[float(each[edge]) for edge in EDGES] for each in (row, box) if each is not None]
        right.append(box is not None and box["label"] == row["label"] and iou(*edges) >= 0.5)
    return percent(right)


def regress_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Return the mean absolute error in percent of the dial."""
    dataset = train.get_dataset(folder)
    found = model.predict(dataset, verbose=0)[:, 0]
    return 100 * float(np.mean(np.abs(found - labels_of(dataset)))) / MOST


def regress_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Return it of the numbers that are given."""
    weights = [float(row["kg"]) for row in rows_of(folder / "weights.csv")]
    found = [one["numbers"][0]["value"] for one in answers]
    return 100 * float(np.mean(np.abs(np.subtract(found, weights)))) / MOST


def embed_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Count images whose nearest image of the gallery is of the same grower: recall at 1."""
    asked = train.get_dataset(folder / "images", label_mode=None)
    known = train.get_dataset(folder / "gallery", labels=None)
    similar = model.predict(asked, verbose=0) @ model.predict(known, verbose=0).T
    names = [Path(path).stem for path in known.file_paths]
    nearest = [names[place] for place in similar.argmax(axis=1)]
    pairs = zip(nearest, asked.file_paths, strict=True)
    return percent(name == Path(path).parent.name for name, path in pairs)


def embed_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Count them among the neighbours that are given."""
    return percent(Path(one["neighbours"][0]["name"]).stem == folder_of(one) for one in answers)


def image_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Return the mean peak signal-to-noise ratio, in dB."""
    dataset = train.get_dataset(folder)
    return psnr(model.predict(dataset, verbose=0), labels_of(dataset))


def image_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Return it of the PNG files of --save."""
    found = [np.asarray(Image.open(one["saved"]), np.float32) / 255 for one in answers]
    return psnr(np.stack(found), labels_of(train.get_dataset(folder)))


def percent(right: Iterable[Any]) -> float:
    """Return how many are true, in percent."""
    return 100 * float(np.mean(np.asarray(right if isinstance(right, np.ndarray) else list(right))))


def labels_of(dataset: tf.data.Dataset) -> np.ndarray:
    """Return what a dataset has beside its images."""
    return np.concatenate([labels for _, labels in dataset.as_numpy_iterator()])


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table with a heading."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def folder_of(answer: dict[str, Any]) -> str:
    """Return the name of the folder that an image is in."""
    return Path(answer["picture"]).parent.name


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes: left, top, right, bottom."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (area - both)


def psnr(found: np.ndarray, clean: np.ndarray) -> float:
    """Return the mean peak signal-to-noise ratio of images of 0 to 1, in dB."""
    return float(np.mean(tf.image.psnr(found, clean, max_val=1.0)))


MEASURES = {
    "classify": Measure("accuracy, %", classify_in_keras, classify_in_bundle),
    "binary": Measure("accuracy, %", binary_in_keras, binary_in_bundle),
    "multilabel": Measure("right labels, %", multilabel_in_keras, multilabel_in_bundle),
    "segment": Measure("mean IoU, %", segment_in_keras, segment_in_bundle),
    "detect": Measure("right boxes, %", detect_in_keras, detect_in_bundle),
    "regress": Measure("mean error, % of the dial", regress_in_keras, regress_in_bundle),
    "embed": Measure("recall at 1, %", embed_in_keras, embed_in_bundle),
    "image": Measure("PSNR, dB", image_in_keras, image_in_bundle),
}
"""The measure of each example."""
