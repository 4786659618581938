"""Calibration and evaluation images: decoded to the input size, in a memory-mapped file."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kexport.arrays import Array
from kexport.calibration.dataset.sources import (
    ImageSource,
    SourceImage,
    from_files,
    open_source,
    shuffled_indices,
)
from kexport.calibration.execution.tensor_file import writing_temporary_files
from kexport.calibration.progress import CountProgress
from kexport.errors import BadArgument
from kexport.runtime import BadImage, BadInput
from kexport.runtime.image import pixels
from kexport.runtime.resize import Resize
from kexport.source.image_files import image_files
from kexport.source.labels import class_folders, classes_of_folders

MIN_IMAGES = 16
"""The smallest number of images: fewer do not show the ranges of a model's tensors."""

CALIBRATION_SHARE = 0.4
"""The share of the images that calibrates where there are neither few nor many."""

MIN_DAMAGED, MAX_DAMAGED_SHARE = 3, 0.1
"""Abort when at least 3 images, and more than 10 %, are unreadable."""

DECODING_BATCH = 32
"""Images that are decoded in parallel before they are written."""

_CONTENT = "the decoded calibration images"

_COLORS = {1: "GRAY", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class ImageForm:
    """The images that a model takes: how those of another size become them, and their type.

    `size` is (height, width); `channels` is 3 for RGB and 1 for grey. `dtype` is "uint8", or
    "float32" for pixels that are not rounded after the resizing.
    """

    size: tuple[int, int]
    resize: Resize
    channels: int = 3
    dtype: str = "uint8"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return (*self.size, self.channels)


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one size, in a memory-mapped file.

    `images` is uint8 or float32 [N, H, W, C] in 0..255, RGB or grey. `names` are their files or
    positions; `skipped` names the damaged images, which are left out; `labels` has the class of
    each image where classes are known.
    """

    images: np.memmap[Any, Any]
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None


def decode_to_file(
    source: ImageSource,
    form: ImageForm,
    *,
    limit: int,
    scratch: Path,
    progress: CountProgress | None = None,
) -> Images:
    """Decode up to `limit` images of a source into a file in the folder `scratch`.

    Raises:
        BadArgument: too few are usable, too many are damaged, all are equal, or an object is not an
            image.
        OutputFailed: the file cannot be written.
    """
    total = limit if source.count is None else min(limit, source.count)
    kept: list[SourceImage] = []
    damaged: list[BadImage] = []
    skipped: list[str] = []
    first, differ = None, False

    def decode(image: SourceImage) -> tuple[SourceImage, Array | BadImage]:
        return image, _decode(image, form)

    with _writer(scratch) as (file, path), ThreadPoolExecutor() as pool:
        while batch := list(
            itertools.islice(source.images, min(DECODING_BATCH, limit - len(kept)))
        ):
            for image, found in pool.map(decode, batch):
                if isinstance(found, BadImage):
                    damaged.append(found)
                    skipped.append(image.name)
                    continue
                _append(file, found)
                kept.append(SourceImage(image.name, None, image.label))
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
        np.memmap(path, form.dtype, "r", shape=(len(kept), *form.shape)),
        tuple(entry.name for entry in kept),
        tuple(skipped),
        labels if len(labels) == len(kept) else None,
    )


def select_images(images: Images, rows: Sequence[int]) -> Images:
    """Copy some of the images to a file of their own in the same folder.

    Raises:
        OutputFailed: the file cannot be written.
    """
    with _writer(Path(str(images.images.filename)).parent) as (file, path):
        for row in rows:
            _append(file, images.images[row])
    labels = images.labels
    return Images(
        np.memmap(path, images.images.dtype, "r", shape=(len(rows), *images.images.shape[1:])),
        tuple(images.names[row] for row in rows),
        images.skipped,
        None if labels is None else tuple(labels[row] for row in rows),
    )


def _decode(image: SourceImage, form: ImageForm) -> Array | BadImage:
    color = _COLORS[form.channels]
    try:
        return pixels(image.content, form.size, color, form.resize, form.dtype)
    except BadImage as error:
        return error
    except BadInput as error:
        raise BadArgument(f"{image.name}: {error}", hint=error.hint) from error


@contextlib.contextmanager
def _writer(scratch: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Open a new file, which is deleted if the block raises."""
    with writing_temporary_files(_CONTENT):
        handle, name = tempfile.mkstemp(suffix=".pixels", dir=scratch)
    file, path = open(handle, "wb"), Path(name)  # noqa: SIM115 - closing may fail too
    try:
        yield file, path
        with writing_temporary_files(_CONTENT):
            file.close()
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        path.unlink(missing_ok=True)
        raise


def _append(file: IO[bytes], image: Array) -> None:
    with writing_temporary_files(_CONTENT):
        file.write(image.tobytes())


def _refuse_damaged(source: str, damaged: Sequence[BadImage], tried: int) -> None:
    if len(damaged) >= MIN_DAMAGED and len(damaged) > MAX_DAMAGED_SHARE * tried:
        some = "; ".join(str(error) for error in damaged[:MIN_DAMAGED])
        raise BadArgument(
            f"too many images of {source} are damaged, {len(damaged)} so far: {some}",
            hint="remove the damaged files, or give another folder",
        )


def _refuse_few(source: str, usable: int, damaged: int) -> None:
    if usable < MIN_IMAGES:
        beside = f" and {damaged} damaged" if damaged else ""
        raise BadArgument(
            f"{source} has {usable} usable images{beside}, too few to calibrate on",
            hint=f"give at least {MIN_IMAGES}; 100 to 500 are a good number",
        )


def load_images(
    source: str | Path | Iterable[Any],
    form: ImageForm,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: CountProgress | None = None,
) -> Images:
    """Load up to `limit` images of a source, as a bundle loads those that it classifies.

    Args:
        source: a folder of images of any size, searched at all depths; a .npy file, or a .npz file
            of one array or one named images or image; or arrays, PIL images and paths. Arrays of
            many images are uint8 [N, H, W, C] of the model's size. More than `limit` images are
            sampled at random; of an iterable without a length the first ones are used.
        form: the images that the model takes.
        limit: the largest number of images.
        seed: the same seed gives the same images in the same order.
        scratch: a folder for the decoded images, which must outlive the result.
        progress: called with the images decoded and in total, the latter as far as it is known.

    Returns:
        The images. Damaged ones are skipped, and named in `skipped`.

    Raises:
        BadArgument: the source is missing, empty, unreadable or of another shape; fewer than 16
            images are usable or requested; more than a tenth, and at least 3, are damaged; all are
            equal.
        OutputFailed: `scratch` cannot be written.
    """
    _check_limit(limit)
    opened = open_source(source, form.shape, limit, seed)
    return decode_to_file(opened, form, limit=limit, scratch=scratch, progress=progress)


def load_labelled_images(
    folder: str | Path,
    classes: Sequence[str] | int,
    form: ImageForm,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: CountProgress | None = None,
) -> Images:
    """Load up to `limit` images of a folder that has a subfolder for each class.

    A subfolder named like one of the labels contains that class. Where no name is a label, or there
    are no labels, the number of subfolders must be that of the classes, and they are the classes in
    sorted order, as in `keras.utils.image_dataset_from_directory`.

    Args:
        folder: the folder; images outside its subfolders are ignored.
        classes: the label of each class, or the number of classes.
        form: the images that the model takes.
        limit: the largest number of images, sampled from all classes together.
        seed: the same seed gives the same images in the same order.
        scratch: a folder for the decoded images, which must outlive the result.
        progress: called with the images decoded and in total.

    Returns:
        The images, with their classes in `labels`.

    Raises:
        BadArgument: as in `load_images`, or the subfolders do not match the classes.
        OutputFailed: `scratch` cannot be written.
    """
    folder = Path(folder)
    names = class_folders(folder)
    of_class = classes_of_folders(folder, names, classes)
    labels = {
        f"{name}/{file}": of_class[name] for name in names for file in image_files(folder / name)
    }
    return load_files(
        folder, labels, form, limit=limit, seed=seed, scratch=scratch, progress=progress
    )


def load_files(
    folder: Path,
    labels: Mapping[str, int | None],
    form: ImageForm,
    *,
    limit: int,
    seed: int,
    scratch: Path,
    progress: CountProgress | None = None,
) -> Images:
    """Load up to `limit` of the files of a folder, given by relative path with a number for each.

    Raises:
        BadArgument, OutputFailed: as `load_images`.
    """
    _check_limit(limit)
    opened = from_files(folder, labels, seed)
    return decode_to_file(opened, form, limit=limit, scratch=scratch, progress=progress)


def split_images(images: Images, seed: int, *, largest: int) -> tuple[Images, Images]:
    """Split images into those to calibrate on and those to judge on, in new files beside them.

    Equal images stay on one side. Some dozen images show the ranges, while each makes the verdict
    sharper, so `CALIBRATION_SHARE` of the images calibrate: at least `MIN_IMAGES` or half of them,
    and at most `largest`.

    Raises:
        OutputFailed: the files cannot be written.
        ValueError: all images are equal.
    """
    groups: dict[bytes, list[int]] = {}
    for row, image in enumerate(images.images):
        groups.setdefault(hashlib.sha256(image.tobytes()).digest(), []).append(row)
    if len(groups) < 2:
        raise ValueError("images that are all equal cannot be split")
    count = len(images.images)
    wanted = min(max(round(CALIBRATION_SHARE * count), min(MIN_IMAGES, count // 2)), largest)
    order = [list(groups.values())[index] for index in shuffled_indices(len(groups), seed)]
    calibration, held_out = list[int](), list[int]()
    for group in sorted(order, key=len, reverse=True):  # large ones first, to come close
        fits = len(calibration) + len(group) <= wanted or not calibration
        (calibration if fits and (held_out or len(group) <= wanted) else held_out).extend(group)
    return select_images(images, sorted(calibration)), select_images(images, sorted(held_out))


def _check_limit(limit: int) -> None:
    if limit < MIN_IMAGES:
        raise BadArgument(
            f"{limit} images are too few to calibrate on", hint=f"take at least {MIN_IMAGES}"
        )
