"""Several images in one call: the answers of each alone, whatever the batch, and C++'s too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_builds import Build
from numpy.typing import NDArray
from PIL import Image

from kexport.runtime import BadInput, Numbers, load
from kexport.runtime.answers import answers
from kexport.runtime.predict import Settings

SIZES = [(8, 6), (37, 53), (8, 6), (5, 90), (20, 20)]
REGRESS = {"name": "regress", "outputs": ["features"]}


@pytest.fixture
def images() -> list[NDArray[np.uint8]]:
    """Draw images of several sizes, each around a colour of its own."""
    random = np.random.default_rng(4)
    noise = [random.integers(-20, 21, (*size, 3)) for size in SIZES]
    colours = random.integers(0, 256, (len(SIZES), 3))
    pairs = zip(noise, colours, strict=True)
    return [np.clip(colour + some, 0, 255).astype(np.uint8) for some, colour in pairs]


def numbers_of(answers: Any) -> list[list[float]]:
    """Return the numbers of answers, or their indices and scores."""
    if isinstance(answers[0], Numbers):
        return [[number.value for number in answer.numbers] for answer in answers]
    return [
        [value for found in answer for value in (found.index, found.score)] for answer in answers
    ]


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 8, None])
def test_the_answers_are_those_of_each_alone(
    build: Callable[..., Path], images: list[NDArray[np.uint8]], batch: int | None
) -> None:
    alone = load(build("alone", outputs=("probabilities", "features")))
    session = load(build("batch", batch=batch, outputs=("probabilities", "features")))
    found = session.classify_all(images, top_k=3)
    expected = [alone.classify(image, top_k=3) for image in images]
    assert len({best[0].label for best in expected}) > 1
    np.testing.assert_allclose(numbers_of(found), numbers_of(expected), rtol=1e-5)
    answers = session.predict_all(iter(images))
    assert [answer.rows() for answer in answers] == [
        alone.predict(image).rows() for image in images
    ]
    assert session.predict_all([]) == []
    assert session.classify_all([]) == []


@pytest.mark.parametrize("task", [None, REGRESS])
@pytest.mark.parametrize("batch", [1, 2, 8, None])
def test_cpp_gives_the_same_bits(
    sanitized: Build,
    build: Callable[..., Path],
    images: list[NDArray[np.uint8]],
    tmp_path: Path,
    batch: int | None,
    task: Any,
) -> None:
    outputs = ("features",) if task else ("probabilities",)
    bundle = build(
        batch=batch,
        outputs=outputs,
        labels=None,
        edit=lambda data: data.update({"task": task} if task else {}),
    )
    words: list[object] = []
    for number, image in enumerate(images):
        image.tofile(tmp_path / f"{number}.rgb")
        words += [tmp_path / f"{number}.rgb", image.shape[1], image.shape[0]]
    done = sanitized.run("driver", "images", bundle, *words)
    assert (done.status, done.err) == (0, "")
    session = load(bundle)
    expected = (
        numbers_of(session.predict_all(images))
        if task
        else numbers_of(session.classify_all(images))
        + numbers_of(session.classify_all(images, top_k=2))
    )
    assert [[*map(float, line.split())] for line in done.out.splitlines()] == expected


def test_a_model_of_any_size_takes_one_size_in_a_call(
    sanitized: Build, build: Callable[..., Path], rewrite: Any, tmp_path: Path
) -> None:
    """Such a model resizes its images itself, or none, so that they do not fit into one array."""
    bundle = build(batch=None)

    def any_size(data: Any) -> None:
        data["inputs"][0]["shape"] = [None, None, None, 3]

    rewrite(bundle, any_size)
    session = load(bundle)
    small, large = np.zeros((8, 6, 3), np.uint8), np.zeros((9, 6, 3), np.uint8)
    with pytest.raises(BadInput, match="the images have different sizes") as caught:
        session.classify_all([small, large])
    assert caught.value.hint == "give images of one size in a call, or one at a time"
    assert len(session.classify_all([small, small])) == 2
    large.tofile(tmp_path / "image.rgb")
    file = tmp_path / "image.rgb"
    done = sanitized.run("driver", "images", bundle, file, 6, 8, file, 6, 9)
    assert done.status == 16
    assert "the images have different sizes: uint8 [1, 8, 6, 3], uint8 [1, 9, 6, 3]" in done.err


def test_an_output_without_rows_is_refused(build: Callable[..., Path], rewrite: Any) -> None:
    bundle = build(batch=None, outputs=("features",), labels=None)

    class Engine:
        name = "an engine whose output has one row for all"

        def run(self, feeds: Any) -> Any:
            return {"features": np.zeros((1, 3), np.float32)}

    session = load(bundle)
    session.engine = Engine()  # type: ignore[assignment]
    images = np.zeros((2, 8, 6, 3), np.uint8)
    with pytest.raises(BadInput, match="without a row for each of 2 images"):
        session.predict_all(images)


@dataclass
class Counted:
    """An engine that notes how many samples it gets at a time."""

    engine: Any
    name = "counted"
    batches: list[int] = field(default_factory=list)

    def run(self, feeds: Any) -> Any:
        self.batches.append(len(next(iter(feeds.values()))))
        return self.engine.run(feeds)


@pytest.mark.parametrize(("batch", "batches"), [(4, [4, 4]), (1, [1] * 5), (None, [1] * 5)])
def test_files_fill_a_fixed_batch(
    build: Callable[..., Path],
    images: list[NDArray[np.uint8]],
    tmp_path: Path,
    batch: int | None,
    batches: list[int],
) -> None:
    """An image that cannot be read has its fault in its place, and takes no place in a batch."""
    session = load(build("batch", batch=batch, outputs=("probabilities",)))
    session.engine = counted = Counted(session.engine)  # type: ignore[assignment]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "1-bad.png").write_text("no image", encoding="utf-8")
    found = list(answers(session, [str(tmp_path)], [], Settings()))
    assert counted.batches == batches
    names = ["0.png", "1-bad.png", *(f"{number}.png" for number in range(1, 5))]
    assert [Path(one.image).name for one in found] == names
    assert [one.fault is not None for one in found] == [name == "1-bad.png" for name in names]
    alone = load(build("alone", outputs=("probabilities",)))
    for one in found:
        if one.answer is not None:
            assert one.answer.rows() == alone.predict(one.image).rows()


def test_a_list_on_standard_input_is_answered_line_by_line(
    build: Callable[..., Path], images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    session = load(build(batch=4, outputs=("probabilities",)))
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    read = list[int]()

    def lines() -> Iterator[str]:
        for number in range(3):
            read.append(number)
            yield f"{tmp_path / '0.png'}\n"

    for number, _ in enumerate(answers(session, ["-"], lines(), Settings())):
        assert read[-1] == number


@pytest.mark.parametrize(("batch", "most"), [(2, 2), (None, 32)])
def test_no_more_images_are_decoded_than_are_in_a_batch(
    build: Callable[..., Path], batch: int | None, most: int
) -> None:
    session = load(build(batch=batch, outputs=("features",), labels=None))
    session.engine = counted = Counted(session.engine)  # type: ignore[assignment]
    drawn = np.random.default_rng(0).integers(0, 256, (70, 8, 6, 3), np.uint8)
    ahead = list[int]()

    def given() -> Iterator[NDArray[np.uint8]]:
        for number, image in enumerate(drawn):
            ahead.append(number - sum(counted.batches))
            yield image

    found = session.predict_all(given())
    assert len(found) == len(drawn)
    assert max(ahead) < most
