"""Answers as files: masks, images and boxes as PNG, arrays as .npz."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import npz
from .detect import Boxes
from .draw import drawn
from .errors import BadInput
from .output_image import OutputImage
from .regress import RawOutputs
from .segment import UNSEEN, Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .image import ImageSource
    from .predict import Answer
    from .task import Task

SUFFIXES = {"segment": ".png", "detect": ".png", "image": ".png", "raw": ".npz"}
"""The ending of the files of each task that saves any."""


class Saver:
    """Writes answers into a folder, under the names of their images.

    Two images of the same name get files of different names: `cat.png`, `cat-2.png`.

    Raises BadInput for a task whose answers are no files, or a folder that cannot be made.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        if task.name not in SUFFIXES:
            raise BadInput(
                f"the task {task.name} has no files to save",
                hint="leave out --save, and add --jsonl to keep the answers",
            )
        self._folder = folder
        self._suffix = SUFFIXES[task.name]
        self._taken: set[str] = set()
        self._guarded(lambda: folder.mkdir(parents=True, exist_ok=True))

    def save(self, name: str, answer: Answer, sources: Sequence[ImageSource]) -> Path:
        """Write one answer, and return its path; an older file of that name is replaced.

        `sources` are what it is the answer for, first the image that boxes are drawn on: the paths
        of files, or pixels.

        Raises BadInput if it cannot be written, or if that file is one of its sources.
        """
        own, count = name, 1
        while own in self._taken:
            count += 1
            own = f"{name}-{count}"
        self._taken.add(own)
        path = self._folder / f"{own}{self._suffix}"
        for source in sources:
            if isinstance(source, str) and os.path.exists(source) and _same(path, source):
                raise BadInput(
                    f"the answer for {source} would replace the image itself",
                    hint="give another folder with --save",
                )
        self._guarded(lambda: _write(path, sources[0], answer))
        return path

    def _guarded(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except OSError as error:
            raise BadInput(
                f"{self._folder} cannot be written: {error.strerror or error}",
                hint="give another folder with --save",
            ) from error


def _same(path: Path, source: str) -> bool:
    return path.exists() and path.samefile(source)


def _write(path: Path, image: ImageSource, answer: Answer) -> None:
    if isinstance(answer, RawOutputs):
        npz.write(path, answer.arrays)
    elif isinstance(answer, Mask):
        _write_mask(path, answer)
    elif isinstance(answer, OutputImage):
        _write_image(path, answer)
    elif isinstance(answer, Boxes):
        drawn(image, answer).save(path)


def _write_image(path: Path, answer: OutputImage) -> None:
    from PIL import Image

    pixels = answer.pixels[..., 0] if answer.pixels.shape[2] == 1 else answer.pixels
    Image.fromarray(pixels).save(path)


def _write_mask(path: Path, mask: Mask) -> None:
    """Write a PNG whose pixels are class indices, with the colours as its palette."""
    from PIL import Image

    colors = [channel for color in mask.palette for channel in color]
    colors += [0] * (3 * (UNSEEN + 1) - len(colors))
    image = Image.fromarray(mask.classes)
    image.putpalette(colors)
    image.save(path)
