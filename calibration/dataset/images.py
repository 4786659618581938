"""The images that a model is calibrated and judged on."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kexport.arrays import Array
from kexport.calibration.dataset.sources import (
    Candidate,
    Source,
    from_files,
    image_files,
    open_source,
    shuffled,
)
from kexport.calibration.execution.tensor_file import writing
from kexport.calibration.progress import Progress
from kexport.errors import BadArgument, did_you_mean
from kexport.runtime import BadImage, BadInput
from kexport.runtime.image import pixels
from kexport.source.labels import class_folders

FEWEST = 16
"""Fewer images say too little about the values that a model takes."""

FEW_DAMAGED, PART_DAMAGED = 3, 0.1
"""This many damaged images, and more than this part of all, are no accident any more."""

AT_ONCE = 32
"""Images that are decoded side by side."""

_DECODED = "the decoded calibration images"

_COLORS = {1: "GRAY", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one size, in a file that is mapped into memory.

    `images` is uint8 [N, H, W, C] in 0..255, RGB or grey. `names` says where each comes from;
    `skipped` names the damaged ones that are not among them; `labels` holds the class of each where
    classes are known.
    """

    images: np.memmap[Any, Any]
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None


def spool(
    source: Source,
    shape: tuple[int, int, int],
    *,
    limit: int,
    scratch: Path,
    progress: Progress | None = None,
) -> Images:
    """Decode up to `limit` images of a source into a file in `scratch`.

    Raises:
        BadArgument: too few are usable, too many are damaged, all are equal, or an object is none.
        OutputFailed: the file cannot be written.
    """
    total = limit if source.count is None else min(limit, source.count)
    kept: list[Candidate] = []
    damaged: list[BadImage] = []
    skipped: list[str] = []
    first, differ = None, False

    def read(candidate: Candidate) -> tuple[Candidate, Array | BadImage]:
        return candidate, _decoded(candidate, shape)

    with _writer(scratch) as (file, path), ThreadPoolExecutor() as pool:
        while batch := list(itertools.islice(source.candidates, min(AT_ONCE, limit - len(kept)))):
            for candidate, found in pool.map(read, batch):
                if isinstance(found, BadImage):
                    damaged.append(found)
                    skipped.append(candidate.name)
                    continue
                _append(file, found)
                kept.append(Candidate(candidate.name, None, candidate.label))
                first = found.copy() if first is None else first
                differ = differ or not np.array_equal(first, found)
            _refuse_damaged(source.name, damaged, limit + len(damaged))
            if progress is not None:
                progress(len(kept), total)
        _refuse_damaged(source.name, damaged, len(kept) + len(damaged))
        _refuse_few(source.name, len(kept), len(damaged))
        if not differ:
            raise BadArgument(
                f"all {len(kept)} images of {source.name} are equal",
                hint="give images like those that the model will meet",
            )
    labels = tuple(entry.label for entry in kept if entry.label is not None)
    return Images(
        np.memmap(path, np.uint8, "r", shape=(len(kept), *shape)),
        tuple(entry.name for entry in kept),
        tuple(skipped),
        labels if len(labels) == len(kept) else None,
    )


def select(pictures: Images, rows: Sequence[int]) -> Images:
    """Some of the images, in a file of their own beside the first.

    Raises:
        OutputFailed: the file cannot be written.
    """
    with _writer(Path(str(pictures.images.filename)).parent) as (file, path):
        for row in rows:
            _append(file, pictures.images[row])
    labels = pictures.labels
    return Images(
        np.memmap(path, np.uint8, "r", shape=(len(rows), *pictures.images.shape[1:])),
        tuple(pictures.names[row] for row in rows),
        pictures.skipped,
        None if labels is None else tuple(labels[row] for row in rows),
    )


def _decoded(candidate: Candidate, shape: tuple[int, int, int]) -> Array | BadImage:
    try:
        return pixels(candidate.picture, shape[:2], _COLORS[shape[2]])
    except BadImage as error:
        return error
    except BadInput as error:
        raise BadArgument(f"{candidate.name}: {error}", hint=error.hint) from error


@contextlib.contextmanager
def _writer(scratch: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file that goes again where the block raises."""
    with writing(_DECODED):
        handle, name = tempfile.mkstemp(suffix=".pixels", dir=scratch)
    file, path = open(handle, "wb"), Path(name)  # noqa: SIM115, closing may fail too
    try:
        yield file, path
        with writing(_DECODED):
            file.close()
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        path.unlink(missing_ok=True)
        raise


def _append(file: IO[bytes], picture: Array) -> None:
    with writing(_DECODED):
        file.write(picture.tobytes())


def _refuse_damaged(source: str, damaged: Sequence[BadImage], tried: int) -> None:
    if len(damaged) >= FEW_DAMAGED and len(damaged) > PART_DAMAGED * tried:
        some = "; ".join(str(error) for error in damaged[:FEW_DAMAGED])
        raise BadArgument(
            f"too many images of {source} are damaged, {len(damaged)} so far: {some}",
            hint="take the damaged files out, or give another folder",
        )


def _refuse_few(source: str, usable: int, damaged: int) -> None:
    if usable < FEWEST:
        beside = f" and {damaged} damaged" if damaged else ""
        raise BadArgument(
            f"{source} has {usable} usable images{beside}, too few to calibrate on",
            hint=f"give at least {FEWEST}; 100 to 500 are a good number",
        )


__all__ = ["Images", "gather", "labelled", "split"]


def gather(
    source: str | Path | Iterable[Any],
    size: tuple[int, int],
    channels: int = 3,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: Progress | None = None,
) -> Images:
    """Take up to `limit` images of a source, decoded as `keras.utils.load_img` does.

    Args:
        source: a folder, searched at all depths, of images of any size; a .npz (of one array, or
            one named images or image) or .npy file; or arrays, PIL images and paths. Arrays of
            many images are uint8 [N, H, W, C] of the model's size. What is longer than `limit`
            is sampled at random; of an iterable without a length the first images are taken.
        size: height and width of the model's input; images are stretched to it, nearest pixel.
        channels: 3 for RGB, 1 for grey.
        limit: the largest number of images.
        seed: the same seed takes the same images in the same order.
        scratch: a folder for the decoded images, which must outlive the result.
        progress: called with the images decoded and to decode, the latter as far as is known.

    Returns:
        The images. Damaged ones are skipped, and named in `skipped`.

    Raises:
        BadArgument: the source is missing, empty, unreadable or of another shape; fewer than 16
            images are usable, or asked for; more than a tenth, and at least 3, are damaged; all
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
) -> Images:
    """Take up to `limit` images of a folder that has a subfolder for each class.

    A subfolder whose name is one of the labels is of that class. Where none is, or there are no
    labels, there must be as many subfolders as classes, and they are the classes in sorted order,
    as in `keras.utils.image_dataset_from_directory`.

    Args:
        folder: the folder; images outside its subfolders are left alone.
        classes: the label of each class, or the number of classes.
        size: as for `gather`, and so are the others.
        channels: 3 for RGB, 1 for grey.
        limit: the largest number of images, sampled from all classes together.
        seed: the same seed takes the same images in the same order.
        scratch: a folder for the decoded images, which must outlive the result.
        progress: called with the images decoded and to decode.

    Returns:
        The images, with their classes in `labels`.

    Raises:
        BadArgument: as for `gather`, or the subfolders do not say which class they are.
        OutputFailed: `scratch` cannot be written.
    """
    _check_limit(limit)
    folder = Path(folder)
    names = class_folders(folder)
    of_class = _classes_of(folder, names, classes)
    labels = {
        f"{name}/{file}": of_class[name] for name in names for file in image_files(folder / name)
    }
    shape = (*size, channels)
    opened = from_files(folder, labels, seed)
    return spool(opened, shape, limit=limit, scratch=scratch, progress=progress)


def split(pictures: Images, seed: int) -> tuple[Images, Images]:
    """Half of the images to calibrate on, and half held out, in new files beside the first.

    Equal images stay together, so that none is on both sides. The first half is the larger one
    where they differ.

    Raises:
        OutputFailed: the files cannot be written.
        ValueError: all images are equal.
    """
    groups: dict[bytes, list[int]] = {}
    for row, picture in enumerate(pictures.images):
        groups.setdefault(hashlib.sha256(picture.tobytes()).digest(), []).append(row)
    if len(groups) < 2:
        raise ValueError("images that are all equal cannot be split")
    halves: tuple[list[int], list[int]] = ([], [])
    order = [list(groups.values())[index] for index in shuffled(len(groups), seed)]
    for group in sorted(order, key=len, reverse=True):  # large ones first, to even out
        min(halves, key=len).extend(group)
    calibration, held_out = sorted(halves, key=len, reverse=True)
    return select(pictures, sorted(calibration)), select(pictures, sorted(held_out))


def _check_limit(limit: int) -> None:
    if limit < FEWEST:
        raise BadArgument(
            f"{limit} images are too few to calibrate on", hint=f"take at least {FEWEST}"
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
                hint="give `labels` that differ",
            )
        return {name: labels.index(name) for name in names}
    if len(names) != count:
        raise BadArgument(
            f"the folder {folder} has {len(names)} subfolders, and the model has {count} classes",
            hint="make one for each class, in sorted order, or name them like the labels",
        )
    return {name: index for index, name in enumerate(names)}
