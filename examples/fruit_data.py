"""The data of each example, as a folder of files such as one has: drawn, in a few seconds.

    python examples/fruit_data.py segment [--count N] [--seed S] [FOLDER]

writes N images (1000) with their answers to FOLDER (out/segment/train). Every image is a JPEG of
another size: some are smaller than the model's input, most are larger, few are square.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fruit import KINDS, draw, grainy
from PIL import Image
from stall import dial, sticker

ROOT = Path(__file__).resolve().parent.parent
GROWERS = 25
"""How many growers' stickers are in a folder, each of another grower in another folder."""

Rng = np.random.Generator


def save(image: np.ndarray, path: Path) -> None:
    """Write uint8 RGB [H, W, 3] as a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=92)


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a table, its heading first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def some(rng: Rng) -> tuple[str, ...]:
    """Choose 1 to 3 kinds of fruit."""
    return tuple(rng.permutation(KINDS)[: rng.integers(1, len(KINDS) + 1)])


def classify(folder: Path, count: int, rng: Rng) -> None:
    """Write a folder of images for each kind of fruit."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        save(draw(rng, (kind,)).pixels, folder / kind / f"{number:04}.jpg")


def binary(folder: Path, count: int, rng: Rng) -> None:
    """Write good/ and rotten/, with apples."""
    for number in range(count):
        name = ("good", "rotten")[number % 2]
        picture = draw(rng, ("apple",), rotten=name == "rotten")
        save(picture.pixels, folder / name / f"{number:04}.jpg")


def multilabel(folder: Path, count: int, rng: Rng) -> None:
    """Write images/0000.jpg, and labels.csv with 1 for each fruit that is there."""
    rows: list[Sequence[Any]] = [("file", *KINDS)]
    for number in range(count):
        there = some(rng)
        save(draw(rng, there).pixels, folder / "images" / f"{number:04}.jpg")
        rows.append((f"{number:04}.jpg", *(int(kind in there) for kind in KINDS)))
    write_csv(folder / "labels.csv", rows)


def segment(folder: Path, count: int, rng: Rng) -> None:
    """Write images/0000.jpg and masks/0000.png, whose pixels are 0 table, 1 apple, 2, 3."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = draw(rng, some(rng))
        save(picture.pixels, folder / "images" / f"{number:04}.jpg")
        Image.fromarray(picture.mask).save(folder / "masks" / f"{number:04}.png")


def detect(folder: Path, count: int, rng: Rng) -> None:
    """Write images/0000.jpg with one fruit each, and boxes.csv with its edges in pixels."""
    rows: list[Sequence[Any]] = [("file", "label", "left", "top", "right", "bottom")]
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        picture = draw(rng, (kind,))
        save(picture.pixels, folder / "images" / f"{number:04}.jpg")
        y, x = np.nonzero(picture.mask)
        rows.append((f"{number:04}.jpg", kind, x.min(), y.min(), x.max() + 1, y.max() + 1))
    write_csv(folder / "boxes.csv", rows)


def regress(folder: Path, count: int, rng: Rng) -> None:
    """Write images/0000.jpg of a scale, and weights.csv with what it shows."""
    rows: list[Sequence[Any]] = [("file", "kg")]
    for number in range(count):
        image, weight = dial(rng)
        save(image, folder / "images" / f"{number:04}.jpg")
        rows.append((f"{number:04}.jpg", f"{weight:.3f}"))
    write_csv(folder / "weights.csv", rows)


def embed(folder: Path, count: int, rng: Rng) -> None:
    """Write images/grower-7/0000.jpg, stickers of 25 growers, and gallery/grower-7.jpg of each."""
    first = int(rng.integers(10_000))
    for grower in range(first, first + GROWERS):
        save(sticker(grower, rng), folder / "gallery" / f"grower-{grower}.jpg")
    for number in range(count):
        grower = first + number % GROWERS
        path = folder / "images" / f"grower-{grower}" / f"{number:04}.jpg"
        save(sticker(grower, rng), path)


def image(folder: Path, count: int, rng: Rng) -> None:
    """Write clean/0000.jpg, and noisy/0000.jpg as in bad light."""
    for number in range(count):
        clean = draw(rng, some(rng)).pixels
        save(clean, folder / "clean" / f"{number:04}.jpg")
        save(grainy(clean.astype(float), 30, rng), folder / "noisy" / f"{number:04}.jpg")


WRITERS: dict[str, Callable[[Path, int, Rng], None]] = {
    writer.__name__: writer
    for writer in (classify, binary, multilabel, segment, detect, regress, embed, image)
}
"""What writes the data of each example."""


def write(task: str, folder: Path, count: int, seed: int) -> None:
    """Write `count` images for an example, with their answers, to a new folder."""
    WRITERS[task](folder, count, np.random.default_rng(seed))


def main() -> None:
    """Read the command line, and write what it asks for."""
    parser = argparse.ArgumentParser(description="Draw the data of an example.")
    parser.add_argument("task", choices=WRITERS)
    parser.add_argument("folder", type=Path, nargs="?", help="out/TASK/train by default")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="1 draws others than 0")
    asked = parser.parse_args()
    folder = asked.folder or ROOT / "out" / asked.task / "train"
    write(asked.task, folder, asked.count, asked.seed)
    print(f"{asked.count} images in {folder}")


if __name__ == "__main__":
    main()
