"""Exports with labelled data: the measures are those of what the bundle answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from labelled_data import boxes, draw, in_class_folders, with_boxes, with_csv, with_partners
from sklearn import metrics
from sklearn.neighbors import NearestNeighbors
from support import healthy

from kexport import Calibration, ImageInput, Task
from kexport.api import Bundle, export
from kexport.cli.tables.bundle import bundle_table, size_of
from kexport.cli.tables.int8 import tables
from kexport.cli.tables.summary import summary
from kexport.cli.tables.table import show
from kexport.errors import ExportWarning
from kexport.measures.boxes import FoundBoxes
from kexport.measures.examples import TrueBoxes
from kexport.measures.names import written
from kexport.runtime import Session, load

pytestmark = pytest.mark.slow

SIZE, COUNT = 16, 40
OWN = (30, 36)
IMAGES, PLACES = draw(COUNT, *OWN), boxes(COUNT, *OWN)


@functools.cache
def fitted(case: str) -> keras.Model:
    """Build a small model whose last layer fits the truth by least squares."""
    head, truth = CASES[case].head, CASES[case].truth
    image = keras.Input((SIZE, SIZE, 3), name="photo")
    y = layers.Rescaling(1 / 127.5, offset=-1)(image)
    y = layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(y)
    for layer in head[:-1]:
        y = layer(y)
    features = healthy(keras.Model(image, y), "none")
    model = keras.Model(image, head[-1](y), name="small")
    seen = np.asarray(keras.ops.image.resize(IMAGES.astype(np.float32), (SIZE, SIZE)))
    found = np.asarray(features(seen))
    rows = found.reshape(-1, found.shape[-1])
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    wanted = truth.reshape(len(rows), -1)
    if head[-1].activation is keras.activations.sigmoid:
        wanted = 4 * wanted - 2
    weights = np.linalg.solve(rows.T @ rows + 3 * np.eye(rows.shape[1]), rows.T @ wanted)
    kernel, bias = head[-1].get_weights()
    head[-1].set_weights([weights[:-1].reshape(kernel.shape), weights[-1].reshape(bias.shape)])
    return model


def pooled(units: int, activation: str | None) -> list[Any]:
    return [
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(units, activation=activation, name="y"),
    ]


def masks() -> np.ndarray:
    found = np.zeros((COUNT, *OWN), np.uint8)
    for mask, (top, left, tall, wide) in zip(found, PLACES, strict=True):
        mask[top : top + tall, left : left + wide] = 1
    return found


def small_masks() -> np.ndarray:
    rows, columns = (((2 * np.arange(8) + 1) * own // 16) for own in OWN)
    return masks()[:, rows][:, :, columns, np.newaxis].astype(np.float32)


LARGE = (PLACES[:, 2:] > [13, 15]).astype(np.float32)
GROUPS = (LARGE @ [1, 2]).astype(int)
SIZES = PLACES[:, 2:].astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A model of a task, its labelled data, and its measures computed from a bundle's answers."""

    head: list[Any]
    truth: np.ndarray
    data: Callable[[Path], Path]
    measures: Callable[[Session, list[Path]], dict[str, float]]


def of_decision(session: Session, files: list[Path]) -> dict[str, float]:
    found = [session.predict(file) for file in files]
    truth = [file.parent.name == "large" for file in files]
    return {
        "f1": metrics.f1_score(truth, [one.positive for one in found]),
        "auc": metrics.roc_auc_score(truth, [one.score for one in found]),
        "accuracy": metrics.accuracy_score(truth, [one.positive for one in found]),
    }


def of_labels(session: Session, files: list[Path]) -> dict[str, float]:
    said = np.zeros((len(files), 2), bool)
    for row, file in zip(said, files, strict=True):
        row[[one.index for one in session.predict(file).labels]] = True
    truth = LARGE[[int(file.stem) for file in files]]
    return {"mean_f1": metrics.f1_score(truth, said, average="macro")}


def of_masks(session: Session, files: list[Path]) -> dict[str, float]:
    found = np.stack([session.predict(file).classes for file in files])
    truth = masks()[[int(file.stem) for file in files]]
    mean = metrics.jaccard_score(truth.ravel(), found.ravel(), average="macro")
    return {"mean_iou": mean, "pixel_accuracy": float(np.mean(truth == found))}


def of_numbers(session: Session, files: list[Path]) -> dict[str, float]:
    found = [[one.value for one in session.predict(file).numbers] for file in files]
    truth = SIZES[[int(file.stem) for file in files]]
    tall, wide = metrics.mean_absolute_error(truth, found, multioutput="raw_values").tolist()
    return {"mae": (tall + wide) / 2, "mae:y[0]": tall, "mae:y[1]": wide}


def of_boxes(session: Session, files: list[Path]) -> dict[str, float]:
    """Measure what the bundle answers; test_boxes.py compares the measure with pycocotools."""
    truths = []
    for top, left, tall, wide in PLACES[[int(file.stem) for file in files]].tolist():
        edges = np.array([[left, top, left + wide, top + tall]], np.float64)
        truths.append(TrueBoxes(edges, np.zeros(1, np.int64), np.zeros(1, bool)))
    measure = FoundBoxes(tuple(truths), 1)
    return measure.summary([measure.keep(session.predict(one), i) for i, one in enumerate(files)])


def of_vectors(session: Session, files: list[Path]) -> dict[str, float]:
    vectors = np.stack([session.predict(file).vector for file in files])
    groups = np.array([file.parent.name for file in files])
    near = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors)
    order = near.kneighbors(vectors, return_distance=False)
    other = np.where(order[:, 0] == np.arange(len(files)), order[:, 1], order[:, 0])
    return {"recall_at_1": float(np.mean(groups[other] == groups))}


def of_images(session: Session, files: list[Path]) -> dict[str, float]:
    ratios = []
    for file in files:
        wanted = np.rint(small_images()[int(file.stem)] * 255)
        error = np.mean(np.square(session.predict(file).pixels - wanted))
        ratios.append(10 * np.log10(255**2 / error))
    return {"psnr": float(np.mean(ratios))}


@functools.cache
def small_images() -> np.ndarray:
    return np.asarray(keras.ops.image.resize(IMAGES.astype(np.float32), (8, 8))) / 255


CASES = {
    "binary": Case(
        pooled(1, "sigmoid"),
        LARGE[:, :1],
        lambda folder: in_class_folders(
            folder, IMAGES, ["large" if one else "a small one" for one in LARGE[:, 0]]
        ),
        of_decision,
    ),
    "multilabel": Case(
        pooled(2, "sigmoid"),
        LARGE,
        lambda folder: with_csv(folder, IMAGES, ["tall", "wide"], LARGE.tolist()),
        of_labels,
    ),
    "segment": Case(
        [layers.Conv2D(1, 1, activation="sigmoid", name="y")],
        small_masks(),
        lambda folder: with_partners(folder, IMAGES, masks(), "masks"),
        of_masks,
    ),
    "detect": Case(
        pooled(5, None),
        np.concatenate([PLACES[:, 1::-1], PLACES[:, 3:1:-1], np.full((COUNT, 1), 36.0)], axis=1)
        / [36, 30, 36, 30, 36],
        lambda folder: with_boxes(folder, IMAGES, PLACES),
        of_boxes,
    ),
    "embed": Case(
        pooled(4, None),
        np.eye(4)[GROUPS],
        lambda folder: in_class_folders(folder, IMAGES, [f"group {one}" for one in GROUPS]),
        of_vectors,
    ),
    "image": Case(
        [layers.Conv2D(3, 1, activation="sigmoid", name="y")],
        small_images(),
        lambda folder: with_partners(folder, IMAGES, IMAGES, "targets"),
        of_images,
    ),
    "regress": Case(
        pooled(2, None),
        SIZES,
        lambda folder: with_csv(folder, IMAGES, ["y[0]", "y[1]"], SIZES.tolist()),
        of_numbers,
    ),
}


TASKS = {"detect": Task("detect", 0.3, from_logits=False, box_format="xywh", box_units="relative")}


def files_of(data: Path) -> list[Path]:
    return sorted(
        path for path in data.rglob("*.png") if path.parent.name not in ("masks", "targets")
    )


def exported(case: str, target: str, folder: Path, **options: Any) -> tuple[Bundle, Path]:
    data = CASES[case].data(folder / "data")
    calibration = Calibration(eval_data=data, **options)
    made = export(
        fitted(case),
        target,
        output=folder / "bundle",
        task=TASKS.get(case, Task(case)),
        calibration=calibration,
    )
    return made, data


@pytest.mark.parametrize("case", CASES)
def test_int8_and_keras_are_measured_as_the_bundle_answers(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, data = exported(case, "cpu-int8", tmp_path, data=IMAGES_SEEN, max_drop=0.3)
    entry = made.manifest["quantization"]
    expected = CASES[case].measures(load(made.path), files_of(data))
    found = entry["labelled"]["measures"]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    deciding = next(iter(found))
    of_keras = made.manifest["labelled"]
    assert entry["gate"]["measure"] == of_keras["measure"] == deciding
    assert entry["keras"]["value"] == pytest.approx(of_keras["value"])
    assert of_keras["images"] == entry["judged_on"] == COUNT
    low, high = of_keras["interval"]
    assert low < of_keras["value"] < high
    assert entry["gate"]["outcome"] in ("passed", "undecided")
    if case not in ("regress", "image"):
        drop = of_keras["value"] - found[deciding]
        assert entry["gate"]["drop"] == pytest.approx(drop, abs=1e-9)
        assert of_keras["value"] > (0.25 if case == "detect" else 0.6)
    print(summary(made.manifest, size_of(made.manifest), made.speed))  # noqa: T201
    show(bundle_table(made.path, made.manifest))
    for table in tables(entry, made.speed):
        show(table)
    said = capsys.readouterr().out
    assert f"Keras {written(deciding, of_keras['value'])} -> int8 " in said
    assert f"on {COUNT} images (" in said
    assert f"on {COUNT} labelled images (95 % interval" in said


IMAGES_SEEN = draw(24, SIZE, SIZE, seed=7)


def test_floats_are_measured_too_in_the_image_of_any_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is cropped away does not count, as in the bundle's own masks."""
    data = CASES["segment"].data(tmp_path / "data")
    made = export(
        fitted("segment"),
        "cpu-fp32",
        output=tmp_path / "bundle",
        task="segment",
        image_input=ImageInput(resize_outside="pil-bilinear,crop"),
        calibration=Calibration(eval_data=data),
    )
    session, files = load(made.path), files_of(data)
    found = np.stack([session.predict(file).classes for file in files])
    truth, seen = masks(), found != 255
    assert not seen.all()
    mean = metrics.jaccard_score(truth[seen], found[seen], average="macro")
    expected = {"mean_iou": mean, "pixel_accuracy": float(np.mean((truth == found)[seen]))}
    entry = made.manifest["labelled"]
    assert entry["measures"] == pytest.approx(expected, rel=1e-6)
    assert entry["bundle"]["measures"] == pytest.approx(expected, rel=1e-9)
    show(bundle_table(made.path, made.manifest))
    said = " ".join(capsys.readouterr().out.split())
    assert f"the bundle has mean IoU {100 * mean:.1f} %" in said


def test_keras_that_knows_nothing_is_a_warning(tmp_path: Path) -> None:
    data = with_csv(tmp_path / "data", IMAGES, ["a", "b"], (1000 + SIZES).tolist())
    with pytest.warns(ExportWarning, match=r"is further from a, b than their median, on 40"):
        made = export(
            fitted("regress"),
            "cpu-fp32",
            output=tmp_path / "b",
            task="regress",
            calibration=Calibration(eval_data=data),
        )
    assert made.manifest["labelled"]["measures"]["mae"] > 900
