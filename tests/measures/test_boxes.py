"""Average precision of boxes, against pycocotools and worked by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from kexport.measures.box_precision import OVERLAPS, match, overlaps
from kexport.measures.boxes import FoundBoxes
from kexport.measures.examples import TrueBoxes
from kexport.measures.measure import compare, value_interval
from kexport.runtime.detect import Box, Boxes

CLASSES = 3


def true_boxes(edges: list[list[float]], classes: list[int], crowds: list[bool]) -> TrueBoxes:
    return TrueBoxes(
        np.array(edges, np.float64).reshape(-1, 4),
        np.array(classes, np.int64),
        np.array(crowds, bool),
    )


def answer(rows: list[tuple[int, float, list[float]]]) -> Boxes:
    return Boxes(tuple(Box(label, str(label), score, *edges) for label, score, edges in rows))


def drawn(seed: int, images: int) -> tuple[list[TrueBoxes], list[Boxes]]:
    """Draw objects, some of them crowds, and boxes near them, beside them or of other classes."""
    rng = np.random.default_rng(seed)
    truths, answers = [], []
    for _ in range(images):
        count = int(rng.integers(0, 6))
        low = rng.uniform(0, 60, (count, 2))
        edges = np.concatenate([low, low + rng.uniform(8, 40, (count, 2))], axis=1)
        classes = rng.integers(0, CLASSES, count)
        truths.append(
            true_boxes(edges.tolist(), classes.tolist(), (rng.random(count) < 0.15).tolist())
        )
        rows = []
        for place in np.repeat(np.arange(count), 2):
            if rng.random() < 0.75:
                near = edges[place] + rng.normal(0, 2.5, 4)
                label = classes[place] if rng.random() < 0.85 else rng.integers(0, CLASSES)
                rows.append((int(label), round(float(rng.random()), 2), near.tolist()))
        for _ in range(int(rng.integers(0, 3))):
            low = rng.uniform(0, 60, 2)
            rows.append((int(rng.integers(0, CLASSES)), float(rng.random()), [*low, *(low + 15)]))
        answers.append(answer(rows))
    return truths, answers


def by_pycocotools(truths: list[TrueBoxes], answers: list[Boxes]) -> tuple[float, float]:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations, results = [], []
    for image, (truth, found) in enumerate(zip(truths, answers, strict=True), 1):
        rows = zip(truth.edges.tolist(), truth.classes.tolist(), truth.crowds.tolist(), strict=True)
        for (left, top, right, bottom), label, crowd in rows:
            box = [left, top, right - left, bottom - top]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": label + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowd),
                }
            )
        for one in found.boxes:
            box = [one.left, one.top, one.right - one.left, one.bottom - one.top]
            results.append(
                {"image_id": image, "category_id": one.index + 1, "bbox": box, "score": one.score}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "info": {},
            "images": [{"id": image + 1} for image in range(len(truths))],
            "categories": [{"id": label + 1, "name": str(label)} for label in range(CLASSES)],
            "annotations": annotations,
        }
        known.createIndex()
        found = evaluation.COCOeval(known, known.loadRes(results), "bbox")
        found.evaluate()
        found.accumulate()
        found.summarize()
    return float(found.stats[0]), float(found.stats[1])


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_pycocotools_computes(seed: int) -> None:
    truths, answers = drawn(seed, 25)
    measure = FoundBoxes(tuple(truths), CLASSES)
    found = measure.summary([measure.keep(one, row) for row, one in enumerate(answers)])
    whole, half = by_pycocotools(truths, answers)
    assert found["map_50_95"] == pytest.approx(whole, abs=1e-9)
    assert found["map_50"] == pytest.approx(half, abs=1e-9)
    assert 0.1 < whole < half < 0.9


def test_worked_by_hand() -> None:
    """A hit, a box beside, a hit: precision is 1 at 51 recalls, and 2/3 at the 50 above 0.5."""
    truth = true_boxes([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0], [False, False])
    boxes = [(0, 0.9, [0, 0, 10, 10]), (0, 0.8, [50, 50, 60, 60]), (0, 0.7, [20, 20, 30, 30])]
    measure = FoundBoxes((truth,), 2)
    found = measure.summary([measure.keep(answer(boxes), 0)])
    expected = (51 + 50 * 2 / 3) / 101
    assert found == pytest.approx({"map_50_95": expected, "map_50": expected})


def test_a_second_box_of_one_object_is_wrong_and_one_of_a_crowd_does_not_count() -> None:
    true = np.array([[0, 0, 10, 10], [40, 0, 80, 40]], np.float64)
    found = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 10, 60, 20]], np.float64)
    crowds = np.array([False, True])
    assert overlaps(found, true, crowds)[2, 1] == 1.0
    hit, counted = match(found, true, crowds)
    np.testing.assert_array_equal(hit, [[True, False, False]] * len(OVERLAPS))
    np.testing.assert_array_equal(counted, [[True, True, False]] * len(OVERLAPS))


def test_an_image_of_weight_two_counts_as_two() -> None:
    truths, answers = drawn(9, 6)
    measure = FoundBoxes(tuple(truths), CLASSES)
    kept = [measure.keep(one, row) for row, one in enumerate(answers)]
    weights = np.array([[1.0, 2.0, 1.0, 1.0, 1.0, 1.0]])
    twice = [*kept[:2], kept[1], *kept[2:]]
    assert measure.values(kept, weights) == pytest.approx(measure.values(twice, np.ones((1, 7))))
    low, high = value_interval(measure, kept, 0.95)
    assert low < measure.values(kept, np.ones((1, 6)))[0] < high


def test_no_box_is_a_doubt_and_no_error() -> None:
    truth = true_boxes([[0, 0, 10, 10]], [1], [False])
    measure = FoundBoxes((truth,), 2)
    kept = [measure.keep(answer([]), 0)]
    assert measure.summary(kept) == {"map_50_95": 0.0, "map_50": 0.0}
    assert measure.doubt(kept) == "finds none of the 1 objects"


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_right_boxes_does_not_matter(seed: int) -> None:
    """Weights of the bootstrap are no round numbers, so that two sums of them may differ."""
    rng = np.random.default_rng(seed)
    edges = [[0.0, 0.0, 10.0, 10.0]] * 50
    truths = [true_boxes([one], [0], [False]) for one in edges]
    measure = FoundBoxes(tuple(truths), 1)

    def kept() -> list[Any]:
        scores = rng.permutation(50) / 100 + 0.3
        return [
            measure.keep(answer([(0, float(score), one)]), row)
            for row, (score, one) in enumerate(zip(scores, edges, strict=True))
        ]

    found = compare(measure, kept(), kept(), 0.95)
    assert (found.value, found.drop, *found.interval) == (1, 0, 0, 0)
