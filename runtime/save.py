"""Answers as files: masks, images and boxes as PNG, arrays as .npz."""

from __future__ import annotations

import contextlib
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
    from collections.abc import Callable, Iterator, Sequence

    from .image import ImageSource
    from .predict import Answer
    from .task import Task

SUFFIXES = {"segment": ".png", "detect": ".png", "image": ".png", "raw": ".npz"}
"""The ending of the files of each task that saves any."""


class Saver:
    """Writes answers into a folder, under the names of their images.

    Two images of the same name get files of different names: `cat.png`, `cat-2.png`. An image that
    is answered is never replaced: `images` are the paths of all of them, or None where they become
    known one by one, and then no file is replaced that was there before.

    Raises BadInput for a task whose answers are no files, or a folder that cannot be made.
    """

    def __init__(self, folder: Path, task: Task, images: Sequence[str] | None) -> None:
        if task.name not in SUFFIXES:
            raise BadInput(
                f"the task {task.name} has no files to save",
                hint="leave out --save, and add --jsonl to keep the answers",
            )
        self._folder = folder
        self._suffix = SUFFIXES[task.name]
        self._taken: set[str] = set()
        self._replaces = images is not None
        self._images = images or ()
        self._files: dict[Any, str] | None = None
        self._guarded(lambda: folder.mkdir(parents=True, exist_ok=True))

    def save(self, name: str, answer: Answer, sources: Sequence[ImageSource]) -> Path:
        """Write one answer, and return its path; an older file of that name is replaced.

        `sources` are what it is the answer for, first the image that boxes are drawn on: the paths
        of files, or pixels.

        Raises BadInput if it cannot be written, or if that file is one of the images.
        """
        own, count = name, 1
        while own in self._taken or not (self._replaces or self._is_free(own)):
            count += 1
            own = f"{name}-{count}"
        self._taken.add(own)
        path = self._folder / f"{own}{self._suffix}"
        replaced = self._image_at(path)
        if replaced is not None:
            of = sources[0] if isinstance(sources[0], str) else name
            what = "the image itself" if replaced == sources[0] else f"the image {replaced}"
            raise BadInput(
                f"the answer for {of} would replace {what}",
                hint="give another folder with --save",
            )
        self._guarded(lambda: _write(path, sources[0], answer))
        return path

    def _is_free(self, own: str) -> bool:
        return not (self._folder / f"{own}{self._suffix}").exists()

    def _image_at(self, path: Path) -> str | None:
        """Return the image that is the file at a path, by whatever name it was given."""
        if self._files is None:
            self._files = {}
            for image in self._images:
                for key in _identities(image):
                    self._files.setdefault(key, image)
        return next((self._files[key] for key in _identities(path) if key in self._files), None)

    def _guarded(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except OSError as error:
            raise BadInput(
                f"{self._folder} cannot be written: {error.strerror or error}",
                hint="give another folder with --save",
            ) from error


def _identities(path: str | Path) -> Iterator[Any]:
    """Yield what tells a file: its path without links and, if it is there, device and inode."""
    yield os.path.realpath(path)
    with contextlib.suppress(OSError):
        found = os.stat(path)
        yield found.st_dev, found.st_ino


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
