"""Boxes: formats, suppression against TensorFlow's, and the way back to the image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kexport.runtime import BadInput, Boxes, Settings, load
from kexport.runtime.cli import main as run_py
from kexport.runtime.detect import Box, boxes_of, edges_of, suppressed
from kexport.runtime.draw import drawn
from kexport.runtime.placement import placed
from kexport.runtime.task import Task

EDGES = np.array([[10.0, 20.0, 30.0, 50.0], [0.0, 0.0, 64.0, 48.0]])

FORMATS: Any = {
    "xyxy": [[10, 20, 30, 50], [0, 0, 64, 48]],
    "xywh": [[10, 20, 20, 30], [0, 0, 64, 48]],
    "cxcywh": [[20, 35, 20, 30], [32, 24, 64, 48]],
    "yxyx": [[20, 10, 50, 30], [0, 0, 48, 64]],
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_the_same_boxes(form: str) -> None:
    boxes = np.array(FORMATS[form], np.float64)
    np.testing.assert_array_equal(edges_of(boxes, form, False, (64, 48)), EDGES)
    shares = [48.0, 64.0] * 2 if form == "yxyx" else [64.0, 48.0] * 2
    found = edges_of(boxes / np.array(shares), form, True, (64, 48))
    np.testing.assert_allclose(found, EDGES, rtol=1e-12, atol=1e-12)


def random_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first = random.uniform(0, 60, (count, 2))
    return np.concatenate([first, first + random.uniform(5, 40, (count, 2))], 1), random.uniform(
        size=(count, 3)
    )


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("threshold", [0.1, 0.6])
def test_suppression_equals_that_of_tensorflow(threshold: float, iou: float) -> None:
    """`tf.image.non_max_suppression` on the boxes of each class alone."""
    import tensorflow as tf

    edges, scores = random_boxes(60, seed=3)
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    kept = suppressed(edges, best, classes, threshold, iou)
    expected = []
    for index in range(3):
        own = np.flatnonzero(classes == index)
        chosen = tf.image.non_max_suppression(
            edges[own].astype(np.float32), best[own].astype(np.float32), 60, iou, threshold
        )
        expected += own[chosen.numpy()].tolist()
    assert len(kept) > 3
    assert len(kept) < 60 or iou > 0.8
    assert sorted(kept) == sorted(expected)
    assert kept == sorted(kept, key=lambda place: -best[place])


def test_boxes_lie_in_the_image_and_not_in_the_frame() -> None:
    task = Task("detect", ("b", "s"), from_logits=False, box_format="xyxy", relative=True)
    boxes = np.array([[0.25, 0.5, 0.75, 1.0], [-1.0, -1.0, 0.5, 0.5], [2.0, 2.0, 3.0, 3.0]])
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.7]])
    found = boxes_of(boxes, scores, task, ["cat", "dog"], 0.5, 0.5, placed(50, 200, 64, 64, "pad"))
    (dog, cat) = found.boxes
    assert (dog.label, dog.score, dog.index) == ("dog", 0.9, 1)
    assert (dog.left, dog.right) == (50.0, 150.0)
    assert (dog.top, dog.bottom) == (25.0, 50.0)
    assert (cat.left, cat.top, cat.right, cat.bottom) == (0.0, 0.0, 100.0, 25.0)


def test_a_single_box_for_an_image() -> None:
    task = Task("detect", ("b", "s"), from_logits=True, box_format="cxcywh", relative=False)
    place = placed(32, 32, 64, 64, "stretch")
    found = boxes_of(np.array([32, 32, 16, 16]), np.array([0.0]), task, None, 0.5, 0.5, place)
    (box,) = found.boxes
    assert (box.label, box.score, box.left, box.bottom) == ("class 0", 0.5, 12.0, 20.0)


def test_thresholds_of_a_call(boxed: Callable[..., Path]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    session = load(boxed("xyxy"))
    rows = image.reshape(24, 6) / 255
    many = session.predict(image, Settings(threshold=0.0, iou=1.0))
    assert isinstance(many, Boxes)
    real = (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])
    assert len(many.boxes) == real.sum()
    few = session.predict(image, Settings(threshold=0.9))
    assert isinstance(few, Boxes)
    assert len(few.boxes) <= (rows[:, 4:].max(axis=1) >= 0.9).sum()
    assert all(box.score >= 0.9 for box in few.boxes)
    with pytest.raises(BadInput, match="iou must be from 0 to 1, not 2"):
        session.predict(image, Settings(iou=2))


def test_boxes_are_drawn_on_the_image(boxed: Callable[..., Path], tmp_path: Path) -> None:
    blank = np.zeros((8, 6, 3), np.uint8)
    blank.reshape(24, 6)[0] = (51, 102, 204, 204, 255, 0)
    Image.fromarray(blank).resize((300, 400), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--save", str(tmp_path / "out")]
    assert run_py(boxed("xyxy"), words) == 0
    before = np.asarray(Image.open(tmp_path / "a.png"))
    after = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    changed = np.argwhere((before != after).any(axis=2))
    assert changed[:, 1].min() == 60
    assert changed[:, 1].max() == 240
    assert changed[:, 0].max() == 320
    assert (after[250, 60] == (128, 0, 0)).all()
    assert (after[250, 150] == before[250, 150]).all()


def test_the_label_of_a_box_at_the_right_edge_is_whole() -> None:
    """It begins further left, and has the pixels of one that has room."""
    image = np.zeros((60, 120, 3), np.uint8)
    boxes = [Box(0, "somebody", 0.9, left, 30.0, 119.0, 50.0) for left in (2.0, 110.0)]
    left, right = (np.asarray(drawn(image, Boxes((box,))))[:30] for box in boxes)
    columns = [np.flatnonzero(each.any(axis=(0, 2))) for each in (left, right)]
    assert len(columns[0]) > 40
    assert np.array_equal(left[:, columns[0]], right[:, columns[1]])
