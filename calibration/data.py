"""The pictures that a model is calibrated and judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kexport.calibration.progress import Progress
from kexport.calibration.sources import from_files, open_source, picture_files, shuffled
from kexport.calibration.spool import FEWEST, Pictures, select, spool
from kexport.classes import class_folders
from kexport.errors import BadArgument, did_you_mean

__all__ = ["Pictures", "gather", "labelled", "split"]


def gather(
    source: str | Path | Iterable[Any],
    size: tuple[int, int],
    channels: int = 3,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: Progress | None = None,
) -> Pictures:
    """Take up to `limit` pictures of a source, decoded as `keras.utils.load_img` does.

    Args:
        source: a folder, searched at all depths, of pictures of any size; a .npz (of one array, or
            one named images or image) or .npy file; or arrays, PIL images and paths. Arrays of
            many pictures are uint8 [N, H, W, C] of the model's size. What is longer than `limit`
            is sampled at random; of an iterable without a length the first pictures are taken.
        size: height and width of the model's input; pictures are stretched to it, nearest pixel.
        channels: 3 for RGB, 1 for grey.
        limit: the largest number of pictures.
        seed: the same seed takes the same pictures in the same order.
        scratch: a folder for the decoded pictures, which must outlive the result.
        progress: called with the pictures decoded and to decode, the latter as far as is known.

    Returns:
        The pictures. Damaged ones are skipped, and named in `skipped`.

    Raises:
        BadArgument: the source is missing, empty, unreadable or of another shape; fewer than 16
            pictures are usable, or asked for; more than a tenth, and at least 3, are damaged; all
            are equal.
        OutputFailed: `scratch` cannot be written.
    """
    _check_limit(limit)
    shape = (*size, channels)
    opened = open_source(source, shape, limit, seed)
    return spool(opened, shape, limit=limit, scratch=scratch, progress=progress)


def labelled(
    folder: str | Path,
    classes: Sequence[str] | int,
    size: tuple[int, int],
    channels: int = 3,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: Progress | None = None,
) -> Pictures:
    """Take up to `limit` pictures of a folder that has a subfolder for each class.

    A subfolder whose name is one of the labels is of that class. Where none is, or there are no
    labels, there must be as many subfolders as classes, and they are the classes in sorted order,
    as in `keras.utils.image_dataset_from_directory`.

    Args:
        folder: the folder; pictures outside its subfolders are left alone.
        classes: the label of each class, or the number of classes.
        size: as for `gather`, and so are the others.
        channels: 3 for RGB, 1 for grey.
        limit: the largest number of pictures, sampled from all classes together.
        seed: the same seed takes the same pictures in the same order.
        scratch: a folder for the decoded pictures, which must outlive the result.
        progress: called with the pictures decoded and to decode.

    Returns:
        The pictures, with their classes in `labels`.

    Raises:
        BadArgument: as for `gather`, or the subfolders do not say which class they are.
        OutputFailed: `scratch` cannot be written.
    """
    _check_limit(limit)
    folder = Path(folder)
    names = class_folders(folder)
    of_class = _classes_of(folder, names, classes)
    labels = {
        f"{name}/{file}": of_class[name] for name in names for file in picture_files(folder / name)
    }
    shape = (*size, channels)
    opened = from_files(folder, labels, seed)
    return spool(opened, shape, limit=limit, scratch=scratch, progress=progress)


def split(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    """Half of the pictures to calibrate on, and half held out, in new files beside the first.

    Equal pictures stay together, so that none is on both sides. The first half is the larger one
    where they differ.

    Raises:
        OutputFailed: the files cannot be written.
        ValueError: all pictures are equal.
    """
    groups: dict[bytes, list[int]] = {}
    for row, picture in enumerate(pictures.images):
        groups.setdefault(hashlib.sha256(picture.tobytes()).digest(), []).append(row)
    if len(groups) < 2:
        raise ValueError("pictures that are all equal cannot be split")
    halves: tuple[list[int], list[int]] = ([], [])
    order = [list(groups.values())[index] for index in shuffled(len(groups), seed)]
    for group in sorted(order, key=len, reverse=True):  # large ones first, to even out
        min(halves, key=len).extend(group)
    calibration, held_out = sorted(halves, key=len, reverse=True)
    return select(pictures, sorted(calibration)), select(pictures, sorted(held_out))


def _check_limit(limit: int) -> None:
    if limit < FEWEST:
        raise BadArgument(
            f"{limit} pictures are too few to calibrate on", hint=f"take at least {FEWEST}"
        )


def _classes_of(folder: Path, names: list[str], classes: Sequence[str] | int) -> dict[str, int]:
    labels = () if isinstance(classes, int) else tuple(classes)
    count = classes if isinstance(classes, int) else len(labels)
    unknown = [name for name in names if name not in labels]
    if labels and len(unknown) < len(names):
        doubled = [name for name in names if labels.count(name) > 1]
        if unknown:
            raise BadArgument(
                f"the subfolder {unknown[0]!r} of {folder} is none of the model's classes",
                hint=did_you_mean(unknown[0], labels) or "name it like one of the labels",
            )
        if doubled:
            raise BadArgument(
                f"the model has {labels.count(doubled[0])} classes named {doubled[0]!r}",
                hint="give labels that differ, with --labels",
            )
        return {name: labels.index(name) for name in names}
    if len(names) != count:
        raise BadArgument(
            f"the folder {folder} has {len(names)} subfolders, and the model has {count} classes",
            hint="make one for each class, in sorted order, or name them like the labels",
        )
    return {name: index for index, name in enumerate(names)}
