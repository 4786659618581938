"""Labelled images in a subfolder for each class."""

from __future__ import annotations

from pathlib import Path

from kexport.errors import BadArgument
from kexport.measures.examples import Examples, Folders
from kexport.source.image_files import image_files
from kexport.source.labels import class_folders


def read_folders(folder: Path) -> Examples:
    """Find the images of each subfolder, in the order of `image_dataset_from_directory`.

    Raises:
        BadArgument: the folder cannot be read, or a subfolder holds no images.
    """
    names = class_folders(folder)
    files, places = list[str](), list[int]()
    for place, name in enumerate(names):
        found = image_files(folder / name)
        if not found:
            raise BadArgument(
                f"the folder {folder / name} holds no images",
                hint="put the images of that class there, or remove it",
            )
        files += [f"{name}/{file}" for file in found]
        places += [place] * len(found)
    return Examples(folder, tuple(files), Folders(tuple(names), tuple(places)))


def read_two_folders(folder: Path) -> Examples:
    """Find the images of yes and no.

    Raises:
        BadArgument: as `read_folders`, or there are not two subfolders.
    """
    examples = read_folders(folder)
    assert isinstance(examples.truths, Folders)
    if len(examples.truths.names) != 2:
        raise BadArgument(
            f"the folder {folder} has {len(examples.truths.names)} subfolders, and yes or no needs "
            "two",
            hint="make one for each answer, that of 0 first in sorted order",
        )
    return examples


def read_groups(folder: Path) -> Examples:
    """Find the images that belong together.

    Raises:
        BadArgument: as `read_folders`, or no subfolder has two images, or there is only one.
    """
    examples = read_folders(folder)
    assert isinstance(examples.truths, Folders)
    names, places = examples.truths.names, examples.truths.places
    if len(names) < 2 or len(places) == len(names):
        raise BadArgument(
            f"the subfolders of {folder} do not tell which images belong together and which do not",
            hint="make a subfolder for each thing or person, with two or more images of it",
        )
    return examples
