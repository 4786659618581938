"""The data of each example, as a folder of files such as one has: drawn, in a few seconds.

    python examples/fruit_data.py segment [--count N] [--seed S] [FOLDER]

writes N images (1000) with their answers to FOLDER (out/segment/train). Every image is a JPEG of
another size: some are smaller than the model's input, most are larger, few are square.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fruit import KINDS, draw
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def save(image: np.ndarray, path: Path) -> None:
    """Write uint8 RGB [H, W, 3] as a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=92)


def some(rng: np.random.Generator, least: int = 1) -> tuple[str, ...]:
    """Choose `least` to 3 kinds of fruit."""
    return tuple(rng.permutation(KINDS)[: rng.integers(least, len(KINDS) + 1)])


def segment(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write images/0000.jpg and masks/0000.png, whose pixels are 0 table, 1 apple, 2, 3."""
    (folder / "masks").mkdir(parents=True)
    for number in range(count):
        picture = draw(rng, some(rng))
        save(picture.pixels, folder / "images" / f"{number:04}.jpg")
        Image.fromarray(picture.mask).save(folder / "masks" / f"{number:04}.png")


WRITERS: dict[str, Callable[[Path, int, np.random.Generator], None]] = {"segment": segment}
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
