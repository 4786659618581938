"""Labelled images of a task: files, and what is right for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument


@dataclass(frozen=True, slots=True)
class Folders:
    """Images by class: the subfolders' names, and the place of each image's among them."""

    names: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers for each image: the columns' names, and float64 [images, columns]."""

    names: tuple[str, ...]
    values: Array


@dataclass(frozen=True, slots=True)
class Partners:
    """For each image the file of another one: its mask, or what the model should make of it."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class TrueBoxes:
    """The objects in one image.

    `edges` is float64 [objects, 4], left, top, right and bottom in pixels of the image; `classes`
    int64 [objects], places among the names of all categories; `crowds` bool [objects], whether it
    stands for many, so that boxes inside it are neither right nor wrong.
    """

    edges: Array
    classes: Array
    crowds: Array


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects for each image, and the names of the categories in the order of their ids."""

    names: tuple[str, ...]
    boxes: tuple[TrueBoxes, ...]


Truths = Folders | Columns | Partners | Objects


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled images: their files, relative to `folder` with /, and what is right for them."""

    folder: Path
    files: tuple[str, ...]
    truths: Truths

    def rows(self) -> dict[str, int | None]:
        """Return the place of each file."""
        return {name: place for place, name in enumerate(self.files)}

    def whole_folders(self, limit: int, seed: int) -> Examples:
        """Return the images of some folders, all of each, until there are `limit`."""
        assert isinstance(self.truths, Folders)
        order = np.random.default_rng(seed).permutation(len(self.truths.names)).tolist()
        members: dict[int, list[int]] = {}
        for row, own in enumerate(self.truths.places):
            members.setdefault(own, []).append(row)
        kept = list[int]()
        for place in order:
            rows = members.get(place, [])
            if not kept or len(kept) + len(rows) <= limit:
                kept += rows
        kept.sort()
        return replace(
            self,
            files=tuple(self.files[i] for i in kept),
            truths=replace(self.truths, places=tuple(self.truths.places[i] for i in kept)),
        )


def size_of(path: Path) -> tuple[int, int]:
    """Read height and width of an image file, without its pixels.

    Raises:
        BadArgument: it is missing or no image.
    """
    _, height, width = mode_and_size(path)
    return height, width


def mode_and_size(path: Path) -> tuple[str, int, int]:
    """Read Pillow's mode, height and width of an image file, without its pixels.

    Raises:
        BadArgument: it is missing or no image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode, image.height, image.width
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadArgument(
            f"{path} cannot be read as an image: {error}",
            hint="remove it from the labelled data, or write it again",
        ) from error
