"""The C++ runtime answers as Python does: kexport-predict prints what run.py prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_builds import Build
from PIL import Image

from kexport.runtime import Mask, load
from kexport.runtime.cli import main
from kexport.runtime.detect import FORMATS

LABELS = ["coal", "tomato", "grass", "sea", "snow"]
CLASSIFY = {"name": "classify", "output": "logits", "from_logits": True}
MULTILABEL = {**CLASSIFY, "name": "multilabel", "threshold": 0.5}
REGRESS = {"name": "regress", "outputs": ["features"]}

TASKS: Any = {
    "classes": ("probabilities", LABELS, None, ["-k", "3"]),
    "classes by task": ("logits", LABELS, CLASSIFY, []),
    "labels": ("logits", LABELS, MULTILABEL, []),
    "all labels": ("logits", None, MULTILABEL, ["--threshold", "0"]),
    "no label": ("logits", LABELS, MULTILABEL, ["--threshold", "1"]),
    "numbers": ("features", None, REGRESS, []),
    "named numbers": ("features", ["red", "green", "blue"], REGRESS, []),
}


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Write images of the colours that the classes of the bundle answer to, of odd sizes."""
    colours = [(20, 200, 40), (250, 20, 30), (5, 5, 5), (130, 127, 126)]
    paths = [str(tmp_path / f"{number}.png") for number in range(len(colours))]
    for number, (path, colour) in enumerate(zip(paths, colours, strict=True)):
        Image.new("RGB", (37 + number, 53), colour).save(path)
    return paths


@pytest.mark.parametrize("name", TASKS)
def test_the_answers_equal_those_of_run_py(
    sanitized: Build, build: Callable[..., Path], images: list[str], capsys: Any, name: str
) -> None:
    output, labels, task, options = TASKS[name]

    def tell(data: Any) -> None:
        if task is not None:
            data["task"] = task

    bundle = build(outputs=(output,), labels=labels, edit=tell)
    assert main(bundle, [*images, *options]) == 0
    expected = capsys.readouterr().out
    done = sanitized.run("kexport-predict", bundle, *images, *options)
    assert (done.status, done.err) == (0, "")
    assert done.out == expected


BINARY: Any = [(None, True), (["grass"], True), (["desert", "grass"], False)]


@pytest.mark.parametrize(("labels", "logits"), BINARY)
def test_decisions_equal_those_of_run_py(
    sanitized: Build, one_number: Any, images: list[str], capsys: Any, labels: Any, logits: bool
) -> None:
    bundle = one_number(labels, name="binary", output="y", from_logits=logits, threshold=0.25)
    for options in ([], ["--threshold", "0.9"]):
        assert main(bundle, [*images, *options]) == 0
        expected = capsys.readouterr().out
        done = sanitized.run("kexport-predict", bundle, *images, *options)
        assert (done.status, done.err, done.out) == (0, "", expected)
    path = images[0]
    np.asarray(Image.open(path)).tofile(f"{path}.rgb")
    width, height = Image.open(path).size
    done = sanitized.run("driver", "classify", bundle, f"{path}.rgb", width, height, 0, 0, 5)
    rows = [line.split("\t") for line in done.out.splitlines()]
    yes = labels[-1] if labels else "yes"
    assert {int(row[0]): row[1] for row in rows}[1] == yes
    assert sum(float(row[2]) for row in rows) == pytest.approx(1.0)


@pytest.mark.parametrize("fit", [None, "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_equal_pythons(
    sanitized: Build,
    masked: Any,
    rewrite: Any,
    tmp_path: Path,
    capsys: Any,
    channels: int,
    fit: Any,
) -> None:
    """Whatever is resized before the graph, both carry the mask back in the same way."""
    bundle = masked(channels)
    if fit is not None:
        entry = {"method": "pil-nearest", "fit": fit}
        rewrite(bundle, lambda data: data["inputs"][0].update(resize=entry))
    for number, size in enumerate([(37, 53), (8, 6), (101, 20)]):
        image = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        image = np.asarray(Image.fromarray(image[:4, :4]).resize(size[::-1]))
        path = tmp_path / f"{number}.png"
        Image.fromarray(image).save(path)
        image.tofile(tmp_path / "pixels")
        done = sanitized.run("driver", "mask", bundle, tmp_path / "pixels", size[1], size[0])
        found = load(bundle).predict(path)
        assert isinstance(found, Mask)
        np.testing.assert_array_equal(
            np.frombuffer(done.raw, np.uint8).reshape(size), found.classes
        )
        assert main(bundle, [str(path)]) == 0
        shown = sanitized.run("kexport-predict", bundle, path)
        assert (shown.status, shown.out) == (0, capsys.readouterr().out)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_boxes_equal_pythons(
    sanitized: Build, boxed: Any, rewrite: Any, tmp_path: Path, capsys: Any, form: str, logits: bool
) -> None:
    relative = form != "xywh"
    bundle = boxed(form, relative=relative, logits=logits, scale=1 if relative else 4)
    fit = {"xyxy": "crop", "yxyx": "pad"}.get(form)
    if fit is not None:
        entry = {"method": "pil-nearest", "fit": fit}
        rewrite(bundle, lambda data: data["inputs"][0].update(resize=entry))
    paths = []
    for number, size in enumerate([(37, 53), (8, 6), (101, 20)]):
        image = np.random.default_rng(number).integers(0, 256, (8, 6, 3), np.uint8)
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image).resize(size[::-1], Image.Resampling.NEAREST).save(paths[-1])
    for options in ([], ["--threshold", "0.2", "--iou", "0.1"], ["--threshold", "1"]):
        assert main(bundle, [*paths, *options]) == 0
        expected = capsys.readouterr().out
        done = sanitized.run("kexport-predict", bundle, *paths, *options)
        assert (done.status, done.err, done.out) == (0, "", expected)


def test_what_the_task_has_no_use_for(sanitized: Build, bundle: Path, images: list[str]) -> None:
    done = sanitized.run("kexport-predict", bundle, images[0], "--threshold", "0.5")
    assert done.status == 16
    said = "threshold is for the task binary or multilabel or segment or detect, and this"
    assert done.err.startswith(f"error: {said} bundle's is classify\n")


def test_a_task_that_reads_no_output(sanitized: Build, build: Any, images: list[str]) -> None:
    task = {"name": "regress", "outputs": ["y"]}
    bundle = build(labels=None, edit=lambda data: data.update(task=task))
    done = sanitized.run("kexport-predict", bundle, images[0])
    assert done.status == 14
    assert "the task reads 'y', which is no output" in done.err


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "x", "nan"])
def test_a_threshold_is_a_score(plain: Build, threshold: str) -> None:
    done = plain.run("kexport-predict", "bundle", "a.png", "--threshold", threshold)
    assert done.status == 2
    assert "must be a number from 0 to 1" in done.err
