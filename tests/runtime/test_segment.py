"""Masks: classes, shares and PNG, against NumPy and Pillow."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kexport.runtime import BadInput, Mask, Settings, load
from kexport.runtime.cli import main as run_py
from kexport.runtime.placement import placed
from kexport.runtime.segment import mask_of, voc_palette
from kexport.runtime.task import Task

Masked = Callable[..., Path]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def test_the_class_of_each_pixel_is_that_of_the_largest_channel(masked: Masked) -> None:
    """The bundle's scores are the image's own channels."""
    image = noise(40, 54)
    found = load(masked(3, ["red", "green", "blue"])).predict(image)
    assert isinstance(found, Mask)
    small = np.asarray(Image.fromarray(image).resize((6, 8), Image.Resampling.NEAREST))
    cells = small.argmax(axis=-1).astype(np.uint8)
    expected = np.asarray(Image.fromarray(cells).resize((54, 40), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(found.classes, expected)
    names = ["red", "green", "blue"]
    counts = {index: int((expected == index).sum()) for index in np.unique(expected)}
    assert {one.index: one.share for one in found.shares} == {
        index: count / expected.size for index, count in counts.items()
    }
    assert [one.label for one in found.shares] == [names[one.index] for one in found.shares]
    assert list(found.shares) == sorted(found.shares, key=lambda one: -one.share)


def test_one_channel_is_compared_with_the_threshold(masked: Masked) -> None:
    image = noise(8, 6)
    session = load(masked(1))
    scores = 1 / (1 + np.exp(-(image[..., 0].astype(float) - 127.5) / 40))
    for threshold in (0.5, 0.8):
        found = session.predict(image, None if threshold == 0.5 else Settings(threshold=0.8))
        assert isinstance(found, Mask)
        np.testing.assert_array_equal(found.classes, scores >= threshold)
    assert {one.label for one in found.shares} == {"no", "yes"}


def test_a_threshold_for_a_channel_of_each_class(masked: Masked) -> None:
    with pytest.raises(BadInput, match="threshold is for masks of one channel"):
        load(masked(3)).predict(noise(8, 6), Settings(threshold=0.5))


@pytest.mark.parametrize("palette", [None, [[0, 0, 0], [255, 128, 0], [1, 2, 3]]])
def test_the_png_has_class_indices_and_colours(
    masked: Masked, tmp_path: Path, palette: Any
) -> None:
    Image.fromarray(noise(37, 53)).save(tmp_path / "a.png")
    bundle = masked(3, palette=palette)
    words = [str(tmp_path / "a.png"), "--save", str(tmp_path / "out")]
    assert run_py(bundle, words) == 0
    found = load(bundle).predict(tmp_path / "a.png")
    assert isinstance(found, Mask)
    with Image.open(tmp_path / "out" / "a.png") as saved:
        assert saved.mode == "P"
        np.testing.assert_array_equal(np.asarray(saved), found.classes)
        colors = np.array(palette or [[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), colors[found.classes])


def test_what_is_cropped_away_is_not_counted() -> None:
    scores = np.zeros((4, 4, 2))
    scores[:2, :, 1] = 1
    task = Task("segment", ("y",))
    found = mask_of(scores, task, None, 0.0, placed(4, 8, 4, 4, "crop"))
    expected = np.array([[1] * 4] * 2 + [[0] * 4] * 2)
    np.testing.assert_array_equal(found.classes[:, 2:6], expected)
    assert (found.classes[:, [0, 1, 6, 7]] == 255).all()
    assert [(one.index, one.share) for one in found.shares] == [(0, 0.5), (1, 0.5)]


def test_the_palette_is_that_of_pascal_voc() -> None:
    """The first colours as the VOC development kit lists them."""
    assert voc_palette(9) == (
        *((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)),
        *((128, 0, 128), (0, 128, 128), (128, 128, 128), (64, 0, 0)),
    )
    assert len(set(voc_palette(256))) == 256


def test_a_mask_never_replaces_the_image_itself(
    masked: Masked, tmp_path: Path, capsys: Any
) -> None:
    bundle = masked(3, ["red", "green", "blue"])
    photo = tmp_path / "photo.png"
    Image.fromarray(noise(40, 54)).save(photo)
    before = photo.read_bytes()
    assert run_py(bundle, [str(photo), "--save", str(tmp_path)]) == BadInput.exit_code
    assert photo.read_bytes() == before
    said = capsys.readouterr().err
    assert f"error: the answer for {photo} would replace the image itself" in said
    assert "hint: give another folder with --save" in said


@pytest.mark.parametrize("link", [False, True])
def test_a_mask_never_replaces_another_image(
    masked: Masked, tmp_path: Path, capsys: Any, link: bool
) -> None:
    """The mask of a.jpg would be a.png, which is answered too, here or by a link elsewhere."""
    bundle = masked(3, ["red", "green", "blue"])
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    for path in (jpeg, png):
        Image.fromarray(noise(40, 54)).save(path)
    other = png
    if link:
        other = tmp_path / "links" / "b.png"
        other.parent.mkdir()
        other.symlink_to(png)
    before = png.read_bytes()
    words = [str(jpeg), str(other), "--save", str(tmp_path)]
    assert run_py(bundle, words) == BadInput.exit_code
    assert png.read_bytes() == before
    said = capsys.readouterr().err
    assert f"error: the answer for {jpeg} would replace the image {other}" in said


def test_a_list_on_standard_input_replaces_no_file(
    masked: Masked, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its later lines are not known when the first is answered."""
    bundle = masked(3, ["red", "green", "blue"])
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    for path in (jpeg, png):
        Image.fromarray(noise(40, 54)).save(path)
    before = png.read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{jpeg}\n{png}\n"))
    assert run_py(bundle, ["-", "--jsonl", "--save", str(tmp_path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["saved"]).name for line in lines] == ["a-2.png", "a-3.png"]
    assert png.read_bytes() == before
