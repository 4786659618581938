"""kexport-predict --save and --jsonl write what run.py writes, to the same pixels and numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_builds import Build
from PIL import Image, ImageDraw

from kexport.runtime import Boxes, load
from kexport.runtime.cli import main
from kexport.runtime.segment import voc_palette

PALETTE = [[10, 20, 30], [255, 128, 0], [1, 2, 3]]
IMAGE = {"name": "image", "range": [-40, 200]}
Make = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Write a coloured, a grey and a tiny image, the last two of one name."""
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (53, 37, 3), np.uint8)
    grey = random.integers(0, 256, (20, 101), np.uint8)
    paths = [tmp_path / "a" / "colour.png", tmp_path / "a" / "b.png", tmp_path / "b" / "b.png"]
    for path, pixels in zip(paths, (colour, grey, colour[:2, :3]), strict=True):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def bundle_of(build: Make, masked: Make, boxed: Make) -> Make:
    """Return a function for a bundle of each task."""
    classes = {"name": "classify", "output": "logits", "from_logits": True}
    labels = {**classes, "name": "multilabel", "threshold": 0.25}

    def make(task: str) -> Path:
        if task in ("classify", "multilabel"):
            told = classes if task == "classify" else labels
            return build(task, outputs=("logits",), edit=lambda data: data.update(task=told))
        if task in ("embed", "regress"):
            entry: Any = {"name": task, "output": "features", "outputs": ["features"]}
            edit = lambda data: data.update(task=entry)  # noqa: E731
            return build(task, outputs=("features",), labels=None, edit=edit)
        if task == "detect":
            return boxed("xyxy")
        if task.startswith("segment"):
            return masked(1 if task == "segment 1" else 3, palette=PALETTE if "3" in task else None)
        return masked(3 if task != "grey" else 1, **(IMAGE if task != "raw" else {"name": "raw"}))

    return make


def saved(lines: str) -> list[Path]:
    return [Path(json.loads(line)["saved"]) for line in lines.splitlines()]


@pytest.mark.parametrize("task", ["segment 1", "segment 3", "image", "grey", "raw"])
def test_the_files_are_those_of_run_py(
    sanitized: Build, bundle_of: Make, images: list[str], tmp_path: Path, capsys: Any, task: str
) -> None:
    bundle = bundle_of(task)
    assert main(bundle, [*images, "--jsonl", "--save", str(tmp_path / "python")]) == 0
    expected = saved(capsys.readouterr().out)
    done = sanitized.run(
        "kexport-predict", bundle, *images, "--jsonl", "--save", tmp_path / "new" / "cpp"
    )
    assert (done.status, done.err) == (0, "")
    found = saved(done.out)
    assert [path.name for path in found] == [path.name for path in expected]
    assert [path.stem for path in found] == ["colour", "b", "b-2"]
    for own, python in zip(found, expected, strict=True):
        if task == "raw":
            with np.load(own) as arrays, np.load(python) as wanted:
                assert arrays.files == wanted.files == ["y"]
                assert arrays["y"].dtype == wanted["y"].dtype == np.float32
                np.testing.assert_array_equal(arrays["y"], wanted["y"])
            continue
        with Image.open(own) as image, Image.open(python) as wanted:
            assert image.mode == wanted.mode
            np.testing.assert_array_equal(np.asarray(image), np.asarray(wanted))
            pixels, colours = image.convert("RGB"), wanted.convert("RGB")
            np.testing.assert_array_equal(np.asarray(pixels), np.asarray(colours))


def test_frames_are_drawn_as_pillow_draws_them(
    sanitized: Build, bundle_of: Make, images: list[str], tmp_path: Path
) -> None:
    bundle = bundle_of("detect")
    settings = ["--threshold", "0.2", "--jsonl"]
    done = sanitized.run("kexport-predict", bundle, *images, *settings, "--save", tmp_path / "out")
    assert (done.status, done.err) == (0, "")
    drawn = 0
    for line, path in zip(done.out.splitlines(), images, strict=True):
        entry = json.loads(line)
        image = Image.open(path).convert("RGB")
        pen = ImageDraw.Draw(image)
        width = max(1, round(min(image.size) / 200))
        for box in entry["boxes"]:
            edges = [int(box[edge]) for edge in ("left", "top", "right", "bottom")]
            colour = voc_palette(box["index"] + 2)[-1]
            # of a frame one pixel high, Pillow 13 also marks two pixels below it
            is_line = edges[1] == edges[3]
            pen.rectangle(edges, fill=colour if is_line else None, outline=colour, width=width)
            drawn += 1
        np.testing.assert_array_equal(np.asarray(Image.open(entry["saved"])), np.asarray(image))
    assert drawn > 3
    assert isinstance(load(bundle).predict(images[0]), Boxes)


@pytest.mark.parametrize(
    "task", ["classify", "multilabel", "segment 3", "detect", "regress", "embed", "image", "raw"]
)
def test_lines_of_json_are_those_of_run_py(
    sanitized: Build, bundle_of: Make, images: list[str], tmp_path: Path, capsys: Any, task: str
) -> None:
    """A file that is no image is a line too; without --jsonl the tables are equal."""
    bundle = bundle_of(task)
    text = tmp_path / 'a "quoted"\nname.png'
    text.write_text("no image", encoding="utf-8")
    words = [*images, str(text)]
    assert main(bundle, [*words, "--jsonl"]) == 15
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    done = sanitized.run("kexport-predict", bundle, *words, "--jsonl")
    assert done.status == 15
    *found, bad = [json.loads(line) for line in done.out.splitlines()]
    assert bad["picture"] == expected.pop()["picture"] == str(text)
    assert "is not an image" in bad["error"]
    assert [[*entry] for entry in found] == [[*entry] for entry in expected]
    assert found == expected
    assert main(bundle, images) == 0
    shown = sanitized.run("kexport-predict", bundle, *images)
    assert (shown.status, shown.out) == (0, capsys.readouterr().out)


def test_what_cannot_be_saved(
    sanitized: Build, bundle_of: Make, images: list[str], tmp_path: Path
) -> None:
    done = sanitized.run("kexport-predict", bundle_of("regress"), images[0], "--save", tmp_path)
    assert (done.status, done.out) == (16, "")
    assert "the task regress has no files to save" in done.err
    bundle, own = bundle_of("segment 3"), Path(images[0])
    before = own.read_bytes()
    done = sanitized.run("kexport-predict", bundle, own, "--save", own.parent)
    assert done.status == 16
    assert f"the answer for {own} would replace the image itself" in done.err
    assert own.read_bytes() == before
    jpeg = own.with_suffix(".jpg")
    Image.open(own).save(jpeg)
    done = sanitized.run("kexport-predict", bundle, jpeg, own, "--save", own.parent)
    assert done.status == 16
    assert f"the answer for {jpeg} would replace the image {own}" in done.err
    assert own.read_bytes() == before
    done = sanitized.run("kexport-predict", bundle, own, "--save", own / "inside")
    assert done.status == 16
    assert "cannot be written" in done.err
