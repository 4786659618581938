"""Sources of calibration images: folders, arrays in files, and Python objects."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.source.image_files import SUFFIXES, image_files

KEYS = ("images", "image")
"""The array names of images in a .npz file of several arrays."""

_FORMATS = f"give a folder of images ({', '.join(SUFFIXES)}), or a .npy or .npz file"
_DAMAGES = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image that is not decoded yet, and its class where it is known."""

    name: str
    content: Any
    """What `runtime.image.pixels` reads: a path, an array or a PIL image."""
    label: int | None = None


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Images in the order in which to use them, and their number where it is known."""

    name: str
    images: Iterator[SourceImage]
    count: int | None


def shuffled_indices(count: int, seed: int) -> list[int]:
    """Shuffle the numbers below `count`; the same seed gives the same order."""
    return [int(index) for index in np.random.default_rng(seed).permutation(count)]


def open_source(
    source: str | Path | Iterable[Any], shape: tuple[int, int, int], limit: int, seed: int
) -> ImageSource:
    """Open a folder, a .npy or .npz file, an array, a sequence or another iterable of images.

    Raises:
        BadArgument: the path does not exist or has no images, or an array is not uint8 [N, *shape].
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array", shape, limit, seed)
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return from_files(path, dict.fromkeys(image_files(path)), seed)
        if path.exists() and path.suffix.lower() in (".npy", ".npz"):
            return _from_file(path, shape, limit, seed)
        what = "is neither a folder nor a .npy or .npz file" if path.exists() else "does not exist"
        raise BadArgument(f"{path} {what}", hint=_FORMATS)
    if isinstance(source, Sequence):
        order = shuffled_indices(len(source), seed)
        items = (SourceImage(_name_of(source[i], i), source[i]) for i in order)
        return ImageSource("the images given", items, len(source))
    items = (SourceImage(_name_of(item, index), item) for index, item in enumerate(source))
    return ImageSource("the images given", items, None)


def from_files(folder: Path, labels: Mapping[str, int | None], seed: int) -> ImageSource:
    """Shuffle files of a folder, given by relative path with their classes.

    Raises:
        BadArgument: there are no files.
    """
    if not labels:
        what = "holds no images" if any(folder.iterdir()) else "is empty"
        raise BadArgument(f"the folder {folder} {what}", hint=_FORMATS)
    names = list(labels)
    items = (
        SourceImage(names[i], folder / names[i], labels[names[i]])
        for i in shuffled_indices(len(names), seed)
    )
    return ImageSource(f"the folder {folder}", items, len(names))


def _name_of(item: Any, index: int) -> str:
    return os.fspath(item) if isinstance(item, (str, os.PathLike)) else f"image {index}"


def _from_file(path: Path, shape: tuple[int, int, int], limit: int, seed: int) -> ImageSource:
    try:
        if path.suffix.lower() == ".npy":
            mapped = np.lib.format.open_memmap(path, mode="r")
            return _from_array(mapped, str(path), shape, limit, seed)
        return _from_archive(path, shape, limit, seed)
    except _DAMAGES as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BadArgument:
    return BadArgument(
        f"{path} cannot be read: {error}", hint="write it again with numpy.save or numpy.savez"
    )


def _from_array(
    array: Array, name: str, shape: tuple[int, int, int], limit: int, seed: int
) -> ImageSource:
    _check(name, array.dtype, array.shape, shape)
    rows = sorted(shuffled_indices(len(array), seed)[:limit])
    return ImageSource(name, (SourceImage(f"image {i}", array[i]) for i in rows), len(rows))


def _from_archive(path: Path, shape: tuple[int, int, int], limit: int, seed: int) -> ImageSource:
    """Open a .npz file, which cannot be memory-mapped: its images are read one by one."""
    with zipfile.ZipFile(path) as archive:
        member = _member(path, archive)
        with archive.open(member) as stream:
            found, fortran, dtype = _header(stream)
    _check(f"{member.removesuffix('.npy')} in {path}", dtype, found, shape)
    if fortran:
        raise BadArgument(
            f"{path} stores its images in Fortran order",
            hint="save numpy.ascontiguousarray(images)",
        )
    rows = sorted(shuffled_indices(found[0], seed)[:limit])
    return ImageSource(str(path), _streamed(path, member, shape, rows), len(rows))


def _streamed(
    path: Path, member: str, shape: tuple[int, int, int], rows: list[int]
) -> Iterator[SourceImage]:
    size = int(np.prod(shape))
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            _header(stream)
            wanted = set(rows)
            for index in range(max(rows, default=-1) + 1):
                data = stream.read(size)
                if len(data) != size:
                    raise EOFError("it ends too early")
                if index in wanted:
                    pixels = np.frombuffer(data, np.uint8).reshape(shape)
                    yield SourceImage(f"image {index}", pixels)
    except _DAMAGES as error:
        raise _damaged(path, error) from error


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    chosen = names if len(names) == 1 else [key for key in KEYS if key in names]
    if not chosen:
        held = ", ".join(names) or "nothing"
        raise BadArgument(
            f"{path} holds no array named images, but {held}",
            hint="save the images with numpy.savez(file, images=...)",
        )
    return f"{chosen[0]}.npy"


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"its array is of an unknown format {version}")
    return _HEADERS[version](stream)


def _check(name: str, dtype: Any, found: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    if dtype != np.uint8 or len(found) != 4 or tuple(found[1:]) != shape:
        wanted = ", ".join(str(size) for size in shape)
        raise BadArgument(
            f"{name} is {dtype} {list(found)}, and the model takes uint8 [N, {wanted}]",
            hint="save the images as uint8 0..255 in that size, or give a folder of them",
        )
