"""A ranking of classes beside the scores of all: what may change places, and what may not."""

import numpy as np
import pytest

from kexport.runtime.compare import differences
from kexport.runtime.manifest import OutputSpec
from kexport.runtime.top_k import expand_top_k, ranking_error

SCORES = np.array([[0.1, 0.4, 0.399, 0.101], [0.7, 0.1, 0.15, 0.05]], np.float32)


def specs(of: str = "probabilities") -> list[OutputSpec]:
    return [
        OutputSpec("indices", "int64", (None, 2), "indices", "top", of, 4),
        OutputSpec("scores", "float32", (None, 2), "scores", "top", of, 4),
    ]


def measured(indices, scores, of: str = "probabilities"):
    given = {"indices": np.array(indices), "scores": np.array(scores, np.float32)}
    rows = differences(
        *expand_top_k(specs(of), given, {"indices": given["indices"], "scores": SCORES})
    )
    return {row.name: row for row in rows}


def test_the_right_classes_and_scores():
    rows = measured([[1, 2], [0, 2]], [[0.4, 0.399], [0.7, 0.15]])
    assert list(rows) == ["indices", "scores", "logits"]
    assert [row.max_abs for row in rows.values()] == [0.0, 0.0, 0.0]
    assert rows["indices"].top1_agreement == 1.0


def test_classes_that_score_nearly_the_same_change_places():
    rows = measured([[2, 1], [0, 2]], [[0.399, 0.4], [0.7, 0.15]])
    assert rows["indices"].max_abs == pytest.approx(0.001, rel=1e-3)
    assert rows["indices"].error == pytest.approx(0.001 / SCORES.std(), rel=1e-3)
    assert rows["indices"].top1_agreement == 0.5
    assert rows["scores"].max_abs == 0.0


def test_a_class_that_does_not_belong_there():
    rows = measured([[1, 0], [0, 2]], [[0.4, 0.1], [0.7, 0.15]])
    assert rows["indices"].max_abs == pytest.approx(0.299, rel=1e-3)
    assert rows["scores"].max_abs == 0.0  # it does score that


def test_scores_that_are_not_those_of_the_classes():
    rows = measured([[1, 2], [0, 2]], [[0.4, 0.399], [0.6, 0.25]])
    assert rows["indices"].max_abs == 0.0
    assert rows["scores"].max_abs == pytest.approx(0.1, rel=1e-3)
    assert rows["logits"].error > 0.1


def test_logits_are_compared_as_they_are():
    assert list(measured([[1, 2], [0, 2]], [[0.4, 0.399], [0.7, 0.15]], "logits")) == [
        "indices",
        "scores",
    ]


@pytest.mark.parametrize(
    "picked", [[[1, 1], [0, 2]], [[1, 4], [0, 2]], [[-1, 2], [0, 2]], [[1, 2]]]
)
def test_what_is_no_ranking(picked):
    assert ranking_error(np.array(picked), SCORES) == np.inf
    rows = measured(picked, np.zeros((len(picked), 2)))
    assert rows["indices"].error == np.inf
    assert rows["indices"].top1_agreement == 0.0
    assert rows["scores"].error == np.inf
