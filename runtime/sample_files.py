"""Samples of several inputs in files: a file for each input, or a folder for each with like names.

left/cat.jpg  right/cat.png  weights/cat.npy       are one sample, `cat`
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadImage, BadInput
from .inputs import described, exact
from .sources import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .manifest import InputSpec

NUMBERS = (".npy",)
"""Endings, in any case, of the files of an input that takes numbers."""


@dataclass(frozen=True)
class SampleFiles:
    """A sample: its name, and for each input the file, or the numbers as text."""

    name: str
    files: dict[str, str]


def assigned(words: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Read words such as `left=a.jpg`, and return what is given for each input, in their order.

    Raises BadInput for a word of another form, an unknown or repeated name, and a missing one.
    """
    listed = f"the model's inputs are: {', '.join(names)}"
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise BadInput(f"{word!r} is not of the form NAME=PATH", hint=listed)
        if name not in names:
            raise BadInput(f"no input named {name!r}", hint=listed)
        if name in found:
            raise BadInput(
                f"input {name!r} is given twice", hint="give a folder for several samples"
            )
        found[name] = value
    missing = next((name for name in names if name not in found), None)
    if missing is not None:
        raise BadInput(f"input {missing!r} is missing", hint=listed)
    return {name: found[name] for name in names}


def below(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Return the subfolder of each input in a folder of samples.

    Raises BadInput if there is none for an input.
    """
    paths = {name: os.path.join(folder, name) for name in names}
    missing = next((name for name, path in paths.items() if not os.path.isdir(path)), None)
    if missing is not None:
        raise BadInput(
            f"{folder} has no subfolder {missing!r}",
            hint=f"make one for each input: {', '.join(names)}; files of one sample have one name",
        )
    return paths


def matched(paths: Mapping[str, str], images: Sequence[str]) -> list[SampleFiles]:
    """Return the samples in files or folders given for each input, sorted by name.

    Files in folders belong together whose paths are equal up to the ending. A file beside folders
    is part of every sample.

    Raises BadInput for an input without files, and for a file without its counterpart.

    Args:
        paths: a file, a folder, or numbers with commas between them, by input.
        images: the inputs that take images; all others take numbers.
    """
    folders = {
        name: _stems(path, SUFFIXES if name in images else NUMBERS)
        for name, path in paths.items()
        if os.path.isdir(path)
    }
    if not folders:
        first = next((name for name in paths if name in images), next(iter(paths)))
        return [SampleFiles(paths[first], dict(paths))]
    for name, stems in folders.items():
        for other, others in folders.items():
            alone = next((stem for stem in stems if stem not in others), None)
            if alone is not None:
                raise BadInput(
                    f"{stems[alone]} has no counterpart in {paths[other]}",
                    hint=f"give each sample a file of one name, up to the ending, in the folders "
                    f"of {name!r} and {other!r}",
                )
    first = next(iter(folders))
    return [
        SampleFiles(stem, {n: folders[n][stem] if n in folders else paths[n] for n in paths})
        for stem in sorted(folders[first])
    ]


def value_of(text: str, spec: InputSpec) -> str | NDArray[Any]:
    """Return what a sample's file or text gives to an input: the path of an image, or numbers.

    Raises BadImage for a file that cannot be read, BadInput for numbers that are none or too few.
    """
    if spec.color is not None:
        return text
    if text.lower().endswith(NUMBERS):
        return _loaded(text, spec)
    free = -1 if spec.shape[1:].count(None) == 1 else 1
    sizes = [free if size is None else size for size in spec.shape[1:]]
    try:
        return exact([float(word) for word in text.split(",")], spec.dtype).reshape(sizes)
    except (ValueError, OverflowError):
        raise BadInput(
            f"input {spec.name!r} takes {described(spec.dtype, spec.shape)}, and got {text!r}",
            hint="give the numbers of one sample with commas between, or a .npy file",
        ) from None


def numbers_in(path: str) -> NDArray[Any]:
    """Read a .npy file.

    Raises BadImage for one that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, MemoryError) as error:
        raise BadImage(
            f"{path} cannot be read: {error}", hint="write it with numpy.save"
        ) from error
    return found


def _loaded(path: str, spec: InputSpec) -> NDArray[Any]:
    array = numbers_in(path)
    return array[0] if array.ndim == len(spec.shape) and len(array) == 1 else array


def _stems(folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the files below a folder by their paths without the ending."""
    found: dict[str, str] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or not name.lower().endswith(suffixes):
                continue
            path = os.path.join(place, name)
            stem = os.path.splitext(os.path.relpath(path, folder))[0].replace(os.sep, "/")
            if stem in found:
                raise BadInput(
                    f"{found[stem]} and {path} have one name, up to the ending",
                    hint="rename one of them",
                )
            found[stem] = path
    if not found:
        raise BadInput(f"{folder} holds no files that end in {', '.join(suffixes)}")
    return found
