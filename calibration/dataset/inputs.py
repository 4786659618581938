"""Samples of several inputs, or of numbers: from folders, .npz files and arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kexport.arrays import Array
from kexport.calibration.dataset.images import (
    ImageForm,
    decoded,
    refuse_damaged,
    refuse_few,
    split_rows,
)
from kexport.calibration.dataset.sources import shuffled_indices
from kexport.calibration.progress import CountProgress
from kexport.errors import BadArgument
from kexport.runtime import BadImage, BadInput
from kexport.runtime.sample_files import below, matched, numbers_in


@dataclass(frozen=True, slots=True)
class TensorForm:
    """Numbers that a model takes: the shape of one sample, None where open, and the dtype."""

    shape: tuple[int | None, ...]
    dtype: str


Form = ImageForm | TensorForm


@dataclass(frozen=True, slots=True)
class InputSamples:
    """Samples: for each input an array, batch first, images decoded but not encoded.

    `names` are their files or positions; `skipped` names the damaged ones, which are left out.
    """

    arrays: Mapping[str, Array]
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: Sequence[int]) -> InputSamples:
        """Return some of the samples."""
        chosen = {name: np.asarray(array[list(rows)]) for name, array in self.arrays.items()}
        return InputSamples(chosen, tuple(self.names[row] for row in rows), self.skipped)


@dataclass(frozen=True, slots=True)
class _Source:
    """Samples that are not decoded yet: `read(i)` gives what sample i has for each input."""

    name: str
    names: Sequence[str]
    read: Callable[[int], Mapping[str, Any]]


def load_samples(
    source: str | Path | Mapping[str, Any],
    forms: Mapping[str, Form],
    *,
    limit: int,
    seed: int | None,
    least: int,
    progress: CountProgress | None = None,
) -> InputSamples:
    """Load up to `limit` samples of a model that has several inputs, or takes no images.

    Args:
        source: a folder with a subfolder for each input, in which files of one name are one sample:
            images, and numbers as .npy (for a single input, the folder of its files); a .npz file
            or a mapping with the samples of each input by name, batch first, images as uint8
            [N, H, W, C] of any size; for a single input also a .npy file or an array.
        forms: what each input takes.
        limit: the largest number of samples; of more, some are drawn.
        seed: the same seed gives the same samples in the same order; None takes the first.
        least: the smallest number of samples.
        progress: called with the samples decoded and in total.

    Raises:
        BadArgument: the source is missing, or has other names, shapes or dtypes than the inputs;
            too few samples are usable, too many are damaged, or all are equal.
    """
    try:
        opened = _open(source, forms)
    except BadInput as error:
        raise BadArgument(str(error), hint=error.hint) from error
    count = len(opened.names)
    order = list(range(count)) if seed is None else shuffled_indices(count, seed)
    rows: list[Mapping[str, Array]] = []
    kept: list[str] = []
    damaged: list[BadImage] = []
    skipped: list[str] = []
    total = min(limit, count)
    for row in order:
        if len(rows) == total:
            break
        try:
            given = opened.read(row)
            rows.append({name: _one(name, given[name], form) for name, form in forms.items()})
            kept.append(opened.names[row])
        except BadImage as error:
            damaged.append(error)
            skipped.append(opened.names[row])
        if progress is not None:
            progress(len(rows), total)
    refuse_damaged(opened.name, damaged, len(rows) + len(damaged))
    refuse_few(opened.name, len(rows), len(damaged), least)
    stacked = {name: _stacked(name, [row[name] for row in rows]) for name in forms}
    if all(np.array_equal(array[:1].repeat(len(array), 0), array) for array in stacked.values()):
        raise BadArgument(
            f"all {len(rows)} samples of {opened.name} are equal",
            hint="give samples like those that the model will meet",
        )
    return InputSamples(stacked, tuple(kept), tuple(skipped))


def split_samples(
    samples: InputSamples, seed: int, *, largest: int
) -> tuple[InputSamples, InputSamples]:
    """Split samples into those to calibrate on and those to judge on, as `split_images`."""
    joined = (
        b"".join(array[row].tobytes() for array in samples.arrays.values())
        for row in range(len(samples))
    )
    calibration, held_out = split_rows(joined, seed, largest=largest)
    return samples.select(calibration), samples.select(held_out)


def _open(source: Any, forms: Mapping[str, Form]) -> _Source:
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return _folder(path, forms)
        if path.suffix.lower() in (".npz", ".npy"):
            return _arrays(str(path), _read(path, forms), forms)
    elif isinstance(source, Mapping):
        return _arrays("the samples given", dict(source), forms)
    elif isinstance(source, np.ndarray):
        return _arrays("the array", _of_one(source, "the array", forms), forms)
    listed = ", ".join(forms)
    what = f"{source} is" if isinstance(source, (str, Path)) else f"a {type(source).__name__} is"
    raise BadArgument(
        f"{what} no source of samples for the inputs {listed}",
        hint="give a folder with a subfolder for each input, or a .npz file with an array for each",
    )


def _folder(folder: Path, forms: Mapping[str, Form]) -> _Source:
    names = list(forms)
    images = [name for name, form in forms.items() if isinstance(form, ImageForm)]
    single = len(names) == 1 and not (folder / names[0]).is_dir()
    paths = {names[0]: os.fspath(folder)} if single else below(os.fspath(folder), names)
    samples = matched(paths, images)

    def read(row: int) -> Mapping[str, Any]:
        return {
            name: path if name in images else numbers_in(path)
            for name, path in samples[row].files.items()
        }

    return _Source(f"the folder {folder}", [sample.name for sample in samples], read)


def _read(path: Path, forms: Mapping[str, Form]) -> dict[str, Array]:
    try:
        if path.suffix.lower() == ".npy":
            return _of_one(np.load(path, mmap_mode="r", allow_pickle=False), str(path), forms)
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise BadArgument(f"{path} does not exist", hint="give a .npz file or a folder") from error
    except Exception as error:  # NumPy and zipfile raise what they like for damaged files
        raise BadArgument(
            f"{path} cannot be read: {error}", hint="write it again with numpy.savez"
        ) from error
    if len(found) == 1 and len(forms) == 1:
        return dict(zip(forms, found.values(), strict=True))
    return found


def _of_one(array: Array, name: str, forms: Mapping[str, Form]) -> dict[str, Array]:
    if len(forms) != 1:
        raise BadArgument(
            f"{name} is one array, and the model's inputs are {', '.join(forms)}",
            hint="give a .npz file with an array for each input by name",
        )
    return {next(iter(forms)): array}


def _arrays(source: str, arrays: Mapping[str, Any], forms: Mapping[str, Form]) -> _Source:
    """Open samples that are given for each input, batch first."""
    listed = f"the model's inputs are: {', '.join(forms)}"
    for name in forms:
        if name not in arrays:
            held = ", ".join(arrays) or "nothing"
            raise BadArgument(f"{source} has no {name!r}, but {held}", hint=listed)
    extra = next((name for name in arrays if name not in forms), None)
    if extra is not None:
        raise BadArgument(f"{source} has {extra!r}, which is no input", hint=listed)
    try:
        counts = {name: len(arrays[name]) for name in forms}
    except TypeError as error:
        raise BadArgument(
            f"{source} has no list of samples for an input: {error}",
            hint="give every input an array, batch first",
        ) from error
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise BadArgument(
            f"{source} has different numbers of samples: {told}",
            hint="give every input the same number",
        )
    for name, form in forms.items():
        _check(f"{name} in {source}", arrays[name], form)
    count = next(iter(counts.values()))

    def read(row: int) -> Mapping[str, Any]:
        return {name: arrays[name][row] for name in forms}

    return _Source(source, [f"sample {row}" for row in range(count)], read)


def _check(what: str, given: Any, form: Form) -> None:
    if not isinstance(given, np.ndarray):
        return  # of images, each of which is checked when it is read
    if isinstance(form, ImageForm):
        if given.dtype == np.uint8 and given.ndim == 4 and given.shape[3] in (1, 3, 4):
            return
        wanted = "uint8 [N, H, W, 3 or 1]: images of 0..255, before preprocessing"
    else:
        sizes = zip(form.shape, given.shape[1:], strict=False)
        fits = given.ndim == len(form.shape) + 1 and all(a in (None, b) for a, b in sizes)
        if fits and np.can_cast(given.dtype, form.dtype, "same_kind"):
            return
        sides = "".join(f", {'?' if side is None else side}" for side in form.shape)
        wanted = f"{form.dtype} [N{sides}]"
    raise BadArgument(
        f"{what} is {given.dtype} {list(given.shape)}, and the model takes {wanted}",
        hint="save the arrays as the model takes them, batch first",
    )


def _one(name: str, given: Any, form: Form) -> Array:
    """Return one sample of an input as an array, images decoded.

    Raises:
        BadImage: the image cannot be decoded.
        BadArgument: numbers of another shape or dtype.
    """
    if isinstance(form, ImageForm):
        try:
            return decoded(given, form)
        except BadInput as error:
            raise BadArgument(f"{name}: {error}", hint=error.hint) from error
    array = np.asarray(given)
    if array.ndim == len(form.shape) + 1 and len(array) == 1:
        array = array[0]
    _check(name, array[np.newaxis], form)
    return array.astype(form.dtype)


def _stacked(name: str, arrays: Sequence[Array]) -> Array:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        one, other = sorted(shapes)[:2]
        raise BadArgument(
            f"the samples of {name!r} have different shapes: {list(one)} and {list(other)}",
            hint="give samples of one shape",
        )
    return np.stack(arrays)
