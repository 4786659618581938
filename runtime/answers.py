"""Answers for many images: what the command lines print, write as JSON, and save."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embed import Embedding, Gallery, gallery_of, read_gallery
from .errors import BadImage
from .save import Saver
from .sources import Unreadable, image_files, sources
from .task import require_task
from .video import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .predict import Answer, Settings
    from .session import Session


@dataclass(frozen=True)
class Answered:
    """An image file, and its answer, or the fault that prevented one; `saved` is a file written.

    A frame of a video has its number, 0 for the first one, and the seconds since then.
    """

    image: str
    answer: Answer | None = None
    fault: BadImage | None = None
    saved: Path | None = None
    frame: tuple[int, float] | None = None

    def entry(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        if self.answer is None:
            return {"picture": self.image, "error": str(self.fault)}
        frame = dict(zip(("frame", "seconds"), self.frame or ()))
        entry = {"picture": self.image, **frame, **self.answer.entry()}
        return entry if self.saved is None else {**entry, "saved": str(self.saved)}


def gallery_at(session: Session, path: str) -> Gallery:
    """Read a gallery from a .npz file, or make one of the images in a folder, named by their files.

    Raises BadInput if the task has no use for one, or for a file that is none; BadImage for a
    folder without images, or with one that cannot be read.
    """
    require_task(session.manifest.task, ("embed",), "a gallery is for the task embed")
    if os.path.isdir(path):
        names, found = [], []
        for file in image_files([path], ()):
            if isinstance(file, BadImage):
                raise file
            answer = session.predict(file)
            if isinstance(answer, Embedding):
                names.append(os.path.basename(file))
                found.append(answer)
        return gallery_of(names, found)
    return read_gallery(Path(path))


def answers(
    session: Session,
    words: Sequence[str],
    stdin: Iterable[str],
    settings: Settings,
    folder: Path | None = None,
    videos: bool = False,
) -> Iterator[Answered]:
    """Answer for the images and, with `videos`, the frames that `words` name (`sources.sources`).

    With a `folder`, each answer is saved there. An image that cannot be read gives an answer with
    its fault; any other fault is raised.

    Raises BadInput, EngineMissing, as `Session.predict` and `sources.sources`; BadInput if the task
    saves nothing or the folder cannot be written.
    """
    saver = None if folder is None else Saver(folder, session.manifest.task)
    for found in sources(words, stdin, videos):
        if isinstance(found, Unreadable):
            yield Answered(found.name, fault=found.fault)
            continue
        if isinstance(found, Frame):
            answer = session.predict(found.pixels, settings)
            saved = None if saver is None else saver.save(found.file_name, answer, [found.pixels])
            at = found.number, found.seconds
            yield Answered(found.source, answer, saved=saved, frame=at)
            continue
        try:
            answer = session.predict(found, settings)
        except BadImage as fault:
            yield Answered(found, fault=fault)
            continue
        saved = None if saver is None else saver.save(Path(found).stem, answer, [found])
        yield Answered(found, answer, saved=saved)
