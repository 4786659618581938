"""Answers for many images: what the command lines print, write as JSON, and save."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .embed import Embedding, Gallery, gallery_of, read_gallery
from .errors import BadImage, BadInput
from .sample_files import SampleFiles, assigned, below, matched, value_of
from .save import Saver
from .sources import STDIN, Source, Unreadable, image_files, sources
from .task import require_task
from .video import Frame, is_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .predict import Answer, Settings
    from .session import Prepared, Session

T = TypeVar("T")


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

    A model with a fixed batch gets as many files at once, unless they come on standard input or
    there are videos, which are answered one at a time.

    With a `folder`, each answer is saved there. An image that cannot be read gives an answer with
    its fault; any other fault is raised.

    Raises BadInput, EngineMissing, as `Session.predict` and `sources.sources`; BadInput if the
    files of several inputs do not match, if the task saves nothing or the folder cannot be written.
    """
    specs = session.manifest.inputs
    if inputs or len(specs) > 1 or specs[0].color is None:
        yield from _of_samples(session, words, inputs, settings, folder)
        return
    files = _listed(words)
    saver = None if folder is None else Saver(folder, session.manifest.task, files)
    alone = files is None or any(is_video(file) for file in files)
    found_sources = sources(words, stdin, videos)

    def prepare(found: Source) -> Prepared:
        if isinstance(found, Unreadable):
            raise found.fault
        return session.prepare(found.pixels if isinstance(found, Frame) else found)

    at_once = 1 if alone else batch_of(session)
    for found, answer in _answered(session, found_sources, prepare, settings, at_once):
        if isinstance(answer, BadImage):
            name = found.name if isinstance(found, Unreadable) else str(found)
            yield Answered(name, fault=answer)
        elif isinstance(found, Frame):
            saved = None if saver is None else saver.save(found.file_name, answer, [found.pixels])
            at = found.number, found.seconds
            yield Answered(found.source, answer, saved=saved, frame=at)
        elif isinstance(found, str):
            saved = None if saver is None else saver.save(Path(found).stem, answer, [found])
            yield Answered(found, answer, saved=saved)


def batch_of(session: Session) -> int:
    """Return how many images from files are answered at once: a batch, where that is fixed.

    A model that takes images of any size gets one at a time, since they may differ.
    """
    specs = session.manifest.inputs
    is_fixed = all(size is not None for spec in specs for size in spec.shape[1:])
    return (session.batch or 1) if is_fixed else 1


def _answered(
    session: Session,
    items: Iterable[T],
    prepare: Callable[[T], Prepared],
    settings: Settings,
    at_once: int,
) -> Iterator[tuple[T, Answer | BadImage]]:
    """Yield items with their answers, or the fault of one that `prepare` raised."""
    waiting = iter(items)
    while group := list(islice(waiting, at_once)):
        prepared = [_caught(prepare, item) for item in group]
        good = [one for one in prepared if not isinstance(one, BadImage)]
        found = iter(session.answer(good, settings))
        for item, one in zip(group, prepared):
            yield item, one if isinstance(one, BadImage) else next(found)


def _caught(prepare: Callable[[T], Prepared], item: T) -> Prepared | BadImage:
    try:
        return prepare(item)
    except BadImage as fault:
        return fault


def _listed(words: Sequence[str]) -> list[str] | None:
    """Return the image files that words name; None where some come on standard input."""
    if STDIN in words:
        return None
    return [found for found in image_files(words, ()) if isinstance(found, str)]


def _of_samples(
    session: Session,
    folders: Sequence[str],
    inputs: Sequence[str],
    settings: Settings,
    folder: Path | None,
) -> Iterator[Answered]:
    """Answer for samples of several inputs, or of numbers."""
    specs = {spec.name: spec for spec in session.manifest.inputs}
    images = [name for name, spec in specs.items() if spec.color is not None]
    paths = [_below(one, list(specs)) for one in folders]
    if inputs:
        paths.append(assigned(inputs, list(specs)))
    samples = [found for given in paths for found in matched(given, images)]
    files = [file for sample in samples for file in sample.files.values()]
    saver = None if folder is None else Saver(folder, session.manifest.task, files)

    def prepare(sample: SampleFiles) -> Prepared:
        given = {name: value_of(text, specs[name]) for name, text in sample.files.items()}
        return session.prepare(given)

    at_once = batch_of(session)
    for sample, answer in _answered(session, samples, prepare, settings, at_once):
        if isinstance(answer, BadImage):
            yield Answered(sample.name, fault=answer, inputs=sample.files)
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
