"""The measure of each example, for Keras as its tutorial takes it, and for a bundle's answers.

Each example has a pair of functions. One gets the module `train.py`, the model and the folder of
held-out data; the other the same module, the answers that `kexport run --jsonl` prints, and that
folder. Both return the same measure, in percent unless its row says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

Answers = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, and how for Keras and for a bundle."""

    name: str
    of_keras: Callable[[ModuleType, keras.Model, Path], float]
    of_bundle: Callable[[ModuleType, Answers, Path], float]


def mean_iou(found: np.ndarray, masks: np.ndarray) -> float:
    """Return the mean over the classes of intersection over union, as keras.metrics.MeanIoU."""
    classes = int(max(found.max(), masks.max())) + 1
    pairs = np.bincount(masks.ravel().astype(int) * classes + found.ravel(), minlength=classes**2)
    table = pairs.reshape(classes, classes)
    both = np.diag(table)
    return 100 * float(np.mean(both / (table.sum(axis=0) + table.sum(axis=1) - both)))


def masks_of(dataset: tf.data.Dataset) -> np.ndarray:
    """Return the true masks, [N, H, W]."""
    return np.concatenate([masks for _, masks in dataset.as_numpy_iterator()])[..., 0]


def segment_in_keras(train: ModuleType, model: keras.Model, folder: Path) -> float:
    """Compare the best class of each cell with the mask."""
    dataset = train.get_dataset(folder)
    return mean_iou(model.predict(dataset, verbose=0).argmax(axis=-1), masks_of(dataset))


def segment_in_bundle(train: ModuleType, answers: Answers, folder: Path) -> float:
    """Compare the PNG files of --save, read as the tutorial reads masks."""
    saved = (np.asarray(Image.open(one["saved"]))[..., np.newaxis] for one in answers)
    found = [tf.image.resize(mask, train.IMG_SIZE, method="nearest") for mask in saved]
    return mean_iou(np.stack(found)[..., 0], masks_of(train.get_dataset(folder)))


MEASURES = {"segment": Measure("mean IoU", segment_in_keras, segment_in_bundle)}
"""The measure of each example."""
