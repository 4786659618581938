"""What a command line names: image files, folders, patterns, lists on standard input, videos."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from .errors import BadImage, BadInput
from .video import Frame, frames, is_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True)
class Unreadable:
    """What a word names instead of images, and why it gives none."""

    name: str
    fault: BadImage


Source = Union[str, Frame, Unreadable]
"""An image file, a frame of a video, or what is in the place of either."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings, in any case, of the files that are taken from a folder."""

STDIN = "-"
"""Stands for a list of files on standard input, one a line."""


def sources(words: Sequence[str], stdin: Iterable[str], videos: bool) -> Iterator[Source]:
    """Yield the images that `words` name, as `image_files`, and the frames of videos and cameras.

    A video or a camera (`camera:0`) that cannot be read gives an Unreadable, as do a folder and a
    pattern without a file. Without `videos`, videos and cameras are refused.

    Raises BadInput for a video that is refused; EngineMissing for one without OpenCV.
    """
    for word in words:
        _refuse_video(word, videos)  # before anything is answered
    for found in image_files(words, stdin):
        if isinstance(found, BadImage):
            yield Unreadable(str(found), found)
            continue
        if not is_video(found):
            yield found
            continue
        _refuse_video(found, videos)
        try:
            yield from frames(found)
        except BadImage as fault:
            yield Unreadable(found, fault)


def image_files(words: Iterable[str], stdin: Iterable[str]) -> Iterator[str | BadImage]:
    """Yield the image files that `words` name, in their order, as soon as each is known.

    A folder gives the image files that it holds, by name, without its subfolders; a pattern such as
    `shots/*.jpg`, which the shell did not expand, the files that match; `-` the lines of `stdin`,
    each of which is a file. Any other word is a file. A folder or pattern without a file gives a
    BadImage that says so.
    """
    for word in words:
        if word == STDIN:
            yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        elif os.path.isdir(word):
            yield from _found(_in_folder(word), f"{word} holds no image files")
        elif glob.has_magic(word) and not os.path.exists(word):
            yield from _found(sorted(glob.glob(word)), f"no file matches {word}")
        else:
            yield word


def _refuse_video(word: str, videos: bool) -> None:
    if not videos and is_video(word):
        raise BadInput(f"{word} is answered frame by frame", hint="add --jsonl")


def _in_folder(folder: str) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES))
    return [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]


def _found(paths: list[str], otherwise: str) -> Iterator[str | BadImage]:
    if not paths:
        yield BadImage(otherwise, hint=f"image files end in {', '.join(SUFFIXES)}")
    yield from paths
