"""Labelled data of each task, drawn: what people have in folders and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image


def draw(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw images, uint8 [count, h, w, 3]: a bright rectangle on a dark and noisy ground."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, height, width, 3)).astype(np.uint8)
    for image, (top, left, tall, wide) in zip(
        images, boxes(count, height, width, seed), strict=True
    ):
        image[top : top + tall, left : left + wide] += 150
    return images


def boxes(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return the rectangle of each image: top, left, height and width, int64 [count, 4]."""
    rng = np.random.default_rng(seed + 1000)
    shares = rng.uniform(0.2, 0.6, (count, 2))
    sizes = np.rint(shares * [height, width])
    places = np.rint(rng.random((count, 2)) * ([height, width] - sizes))
    return np.concatenate([places, sizes], axis=1).astype(np.int64)


def in_class_folders(folder: Path, images: np.ndarray, classes: list[str]) -> Path:
    for place, (image, name) in enumerate(zip(images, classes, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{place:03}.png")
    return folder


def with_csv(folder: Path, images: np.ndarray, header: list[str], rows: list[list[float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *header])
        for place, (image, row) in enumerate(zip(images, rows, strict=True)):
            Image.fromarray(image).save(folder / f"{place:03}.png")
            writer.writerow([f"{place:03}.png", *row])
    return folder


def with_partners(folder: Path, images: np.ndarray, partners: np.ndarray, kind: str) -> Path:
    for name, some in (("images", images), (kind, partners)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for place, one in enumerate(some):
            Image.fromarray(one).save(folder / name / f"{place:03}.png")
    return folder


def with_boxes(folder: Path, images: np.ndarray, places: np.ndarray) -> Path:
    """Write a COCO file about the rectangle in each image, [top, left, height, width]."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    height, width = images.shape[1:3]
    rows, annotations = [], []
    for place, (image, box) in enumerate(zip(images, places.tolist(), strict=True)):
        name = f"{place:03}.png"
        Image.fromarray(image).save(folder / "images" / name)
        rows.append({"id": place, "file_name": name, "height": height, "width": width})
        top, left, tall, wide = box
        annotations.append(
            {"id": place, "image_id": place, "category_id": 7, "bbox": [left, top, wide, tall]}
        )
    document = {
        "images": rows,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "thing"}],
    }
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
