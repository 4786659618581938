"""Answers for many images: what the command lines print, write as JSON, and save."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embed import Embedding, Gallery, gallery_of, read_gallery
from .errors import BadImage, BadInput
from .sample_files import assigned, below, matched, value_of
from .save import Saver
from .sources import Unreadable, image_files, sources
from .task import require_task
from .video import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .predict import Answer, Settings
    from .session import Session


@dataclass(frozen=True)
class Answered:
    """A sample, and its answer, or the fault that prevented one; `saved` is a file written.

    `image` is the image file, or the name of a sample of several inputs, whose files are `inputs`.
    A frame of a video has its number, 0 for the first one, and the seconds since then.
    """

    image: str
    answer: Answer | None = None
    fault: BadImage | None = None
    saved: Path | None = None
    inputs: Mapping[str, str] | None = None
    frame: tuple[int, float] | None = None

    def entry(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        entry: dict[str, Any] = {"picture": self.image}
        if self.inputs is not None:
            entry["inputs"] = dict(self.inputs)
        if self.answer is None:
            return {**entry, "error": str(self.fault)}
        entry.update(zip(("frame", "seconds"), self.frame or ()))
        entry.update(self.answer.entry())
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
    inputs: Sequence[str] = (),
    videos: bool = False,
) -> Iterator[Answered]:
    """Answer for what a command line names, one sample after another.

    For a model of one image, `words` name images and, with `videos`, videos (`sources.sources`).
    For any other, `inputs` has a word such as `left=a.jpg` for each input, or `words` are folders
    with a subfolder for each input (`sample_files`).

    With a `folder`, each answer is saved there. An image that cannot be read gives an answer with
    its fault; any other fault is raised.

    Raises BadInput, EngineMissing, as `Session.predict` and `sources.sources`; BadInput if the
    files of several inputs do not match, if the task saves nothing or the folder cannot be written.
    """
    saver = None if folder is None else Saver(folder, session.manifest.task)
    specs = session.manifest.inputs
    if inputs or len(specs) > 1 or specs[0].color is None:
        yield from _of_samples(session, words, inputs, settings, saver)
        return
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


def _of_samples(
    session: Session,
    folders: Sequence[str],
    inputs: Sequence[str],
    settings: Settings,
    saver: Saver | None,
) -> Iterator[Answered]:
    """Answer for samples of several inputs, or of numbers."""
    specs = {spec.name: spec for spec in session.manifest.inputs}
    images = [name for name, spec in specs.items() if spec.color is not None]
    paths = [_below(folder, list(specs)) for folder in folders]
    if inputs:
        paths.append(assigned(inputs, list(specs)))
    for sample in (found for given in paths for found in matched(given, images)):
        try:
            given = {name: value_of(text, specs[name]) for name, text in sample.files.items()}
            answer = session.predict(given, settings)
        except BadImage as fault:
            yield Answered(sample.name, fault=fault, inputs=sample.files)
            continue
        sources = [sample.files[name] for name in (*images, *set(specs).difference(images))]
        name = Path(sample.name).stem if os.path.exists(sample.name) else Path(sample.name).name
        saved = None if saver is None else saver.save(name, answer, sources)
        yield Answered(sample.name, answer, saved=saved, inputs=sample.files)


def _below(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Return the subfolders of a folder of samples; refuse a file, which is for one input only."""
    if not os.path.isdir(folder):
        raise BadInput(
            f"the model's inputs are {', '.join(names)}, and {folder} is not said to be for one",
            hint=f"give each with --input, as in --input {names[0]}={folder}",
        )
    return below(folder, names)
