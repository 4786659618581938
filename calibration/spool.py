"""Decodes pictures into a file, so that memory does not grow with their number."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kexport.calibration.progress import Progress
from kexport.calibration.sources import Candidate, Source
from kexport.calibration.temporary import writing
from kexport.errors import BadArgument
from kexport.runtime import BadInput, BadPicture
from kexport.runtime.picture import pixels

Array = np.ndarray[Any, Any]

FEWEST = 16
"""Fewer pictures say too little about the values that a model takes."""

FEW_DAMAGED, PART_DAMAGED = 3, 0.1
"""This many damaged pictures, and more than this part of all, are no accident any more."""

AT_ONCE = 32
"""Pictures that are decoded side by side."""

_DECODED = "the decoded calibration pictures"

_COLORS = {1: "GRAY", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one size, in a file that is mapped into memory.

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
) -> Pictures:
    """Decode up to `limit` pictures of a source into a file in `scratch`.

    Raises:
        BadArgument: too few are usable, too many are damaged, all are equal, or an object is none.
        OutputFailed: the file cannot be written.
    """
    total = limit if source.count is None else min(limit, source.count)
    kept: list[Candidate] = []
    damaged: list[BadPicture] = []
    skipped: list[str] = []
    first, differ = None, False

    def read(candidate: Candidate) -> tuple[Candidate, Array | BadPicture]:
        return candidate, _decoded(candidate, shape)

    with _writer(scratch) as (file, path), ThreadPoolExecutor() as pool:
        while batch := list(itertools.islice(source.candidates, min(AT_ONCE, limit - len(kept)))):
            for candidate, found in pool.map(read, batch):
                if isinstance(found, BadPicture):
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
                f"all {len(kept)} pictures of {source.name} are equal",
                hint="give pictures like those that the model will meet",
            )
    labels = tuple(entry.label for entry in kept if entry.label is not None)
    return Pictures(
        np.memmap(path, np.uint8, "r", shape=(len(kept), *shape)),
        tuple(entry.name for entry in kept),
        tuple(skipped),
        labels if len(labels) == len(kept) else None,
    )


def select(pictures: Pictures, rows: Sequence[int]) -> Pictures:
    """Some of the pictures, in a file of their own beside the first.

    Raises:
        OutputFailed: the file cannot be written.
    """
    with _writer(Path(str(pictures.images.filename)).parent) as (file, path):
        for row in rows:
            _append(file, pictures.images[row])
    labels = pictures.labels
    return Pictures(
        np.memmap(path, np.uint8, "r", shape=(len(rows), *pictures.images.shape[1:])),
        tuple(pictures.names[row] for row in rows),
        pictures.skipped,
        None if labels is None else tuple(labels[row] for row in rows),
    )


def _decoded(candidate: Candidate, shape: tuple[int, int, int]) -> Array | BadPicture:
    try:
        return pixels(candidate.picture, shape[:2], _COLORS[shape[2]])
    except BadPicture as error:
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


def _refuse_damaged(source: str, damaged: Sequence[BadPicture], tried: int) -> None:
    if len(damaged) >= FEW_DAMAGED and len(damaged) > PART_DAMAGED * tried:
        some = "; ".join(str(error) for error in damaged[:FEW_DAMAGED])
        raise BadArgument(
            f"too many pictures of {source} are damaged, {len(damaged)} so far: {some}",
            hint="take the damaged files out, or give another folder",
        )


def _refuse_few(source: str, usable: int, damaged: int) -> None:
    if usable < FEWEST:
        beside = f" and {damaged} damaged" if damaged else ""
        raise BadArgument(
            f"{source} has {usable} usable pictures{beside}, too few to calibrate on",
            hint=f"give at least {FEWEST}; 100 to 500 are a good number",
        )
