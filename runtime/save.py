"""Answers as files: masks, images and boxes as PNG, arrays as .npz."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .detect import Boxes
from .draw import drawn
from .errors import BadInput
from .output_image import OutputImage
from .regress import RawOutputs
from .segment import UNSEEN, Mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from .image import ImageSource
    from .predict import Answer
    from .task import Task
    from .video import Frame

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
        self._taken: dict[str, int] = {}
        self._guarded(lambda: folder.mkdir(parents=True, exist_ok=True))

    def save(self, image: str, answer: Answer) -> Path:
        """Write the answer for an image file, and return its path; an older file is replaced.

        Raises BadInput if it cannot be written, or if that file is the image itself.
        """
        path = self._path(Path(image).stem)
        if path.exists() and os.path.exists(image) and path.samefile(image):
            raise BadInput(
                f"the answer for {image} would replace the image itself",
                hint="give another folder with --save",
            )
        self._guarded(lambda: _write(path, image, answer))
        return path

    def save_frame(self, frame: Frame, answer: Answer) -> Path:
        """Write the answer for a frame, `clip-000012.png`, and return its path; as `save`."""
        name = Path(frame.source).stem.replace(":", "")
        path = self._path(f"{name}-{frame.number:06}")
        self._guarded(lambda: _write(path, frame.pixels, answer))
        return path

    def _path(self, name: str) -> Path:
        """Return the path of a new file, whose name may have been taken before."""
        self._taken[name] = count = self._taken.get(name, 0) + 1
        return self._folder / f"{name}{'' if count == 1 else f'-{count}'}{self._suffix}"

    def _guarded(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except OSError as error:
            raise BadInput(
                f"{self._folder} cannot be written: {error.strerror or error}",
                hint="give another folder with --save",
            ) from error


def _write(path: Path, image: ImageSource, answer: Answer) -> None:
    if isinstance(answer, RawOutputs):
        np.savez_compressed(path, allow_pickle=False, **answer.arrays)
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
