"""`Session.predict`: the answer of each task, and what the command lines make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kexport.cli import main as kexport_main
from kexport.runtime import (
    BadInput,
    BundleRefused,
    Decision,
    LabelSet,
    Number,
    Numbers,
    RawOutputs,
    Settings,
    load,
)
from kexport.runtime.classes import sigmoid
from kexport.runtime.cli import main as run_py

GREEN = np.full((8, 6, 3), (20, 200, 40), np.uint8)
LABELS = ["coal", "tomato", "grass", "sea", "snow"]

Tasked = Callable[..., Path]


@pytest.fixture
def tasked(build: Callable[..., Path]) -> Tasked:
    """Return a function that builds the mean-colour bundle with a task, on one of its outputs."""

    def make(given: str, labels: list[str] | None = None, **task: Any) -> Path:
        return build(
            given, outputs=(given,), labels=labels, edit=lambda data: data.update(task=task)
        )

    return make


@pytest.fixture
def multilabel(tasked: Tasked) -> Path:
    scored = {"output": "logits", "from_logits": True, "threshold": 0.5}
    return tasked("logits", LABELS, name="multilabel", **scored)


def test_every_label_whose_score_reaches_the_threshold(multilabel: Path, truth: Any) -> None:
    scores = 1 / (1 + np.exp(-truth(GREEN[None])["logits"][0]))
    expected = [(i, LABELS[i]) for i in np.argsort(-scores) if scores[i] >= 0.5]
    found = load(multilabel).predict(GREEN)
    assert isinstance(found, LabelSet)
    assert [(one.index, one.label) for one in found.labels] == expected
    assert 0 < len(expected) < 5
    wanted = [scores[i] for i, _ in expected]
    np.testing.assert_allclose([one.score for one in found.labels], wanted, rtol=1e-5)
    lower = load(multilabel).predict(GREEN, Settings(threshold=0))
    assert isinstance(lower, LabelSet)
    assert len(lower.labels) == 5


def test_no_label_reaches_the_threshold(multilabel: Path, tmp_path: Path, capsys: Any) -> None:
    Image.fromarray(GREEN).save(tmp_path / "a.png")
    assert run_py(multilabel, [str(tmp_path / "a.png"), "--threshold", "1"]) == 0
    assert capsys.readouterr().out.endswith("a.png\n  none  no score of 1 or more\n")


def test_classify_gives_all_labels_of_a_multilabel_model(multilabel: Path) -> None:
    found = load(multilabel).classify(GREEN, top_k=9)
    assert sorted(one.label for one in found) == sorted(LABELS)
    assert sum(one.score for one in found) != pytest.approx(1.0)


BINARY: Any = [
    (None, ("no", "yes")),
    (["grass"], ("not grass", "grass")),
    (["desert", "grass"], ("desert", "grass")),
]


@pytest.mark.parametrize(("labels", "answers"), BINARY)
def test_yes_or_no(one_number: Any, labels: Any, answers: Any) -> None:
    task = {"name": "binary", "output": "y", "from_logits": True, "threshold": 0.9}
    session = load(one_number(labels, **task))
    score = 1 / (1 + np.exp(-(200 - 127.5) / 40))
    assert 0.85 < score < 0.9
    found = session.predict(GREEN)
    assert isinstance(found, Decision)
    assert (found.label, found.positive, found.index) == (answers[0], False, 0)
    assert found.score == pytest.approx(score, rel=1e-6)
    lower = session.predict(GREEN, Settings(threshold=0.85))
    assert isinstance(lower, Decision)
    assert (lower.label, lower.positive, lower.threshold) == (answers[1], True, 0.85)
    both = session.classify(GREEN)
    assert [(one.index, one.label) for one in both] == [(1, answers[1]), (0, answers[0])]
    assert [one.score for one in both] == pytest.approx([score, 1 - score], rel=1e-6)


def test_scores_that_are_no_logits_are_taken_as_they_are(one_number: Any) -> None:
    task = {"name": "binary", "output": "y", "from_logits": False, "threshold": 0.5}
    found = load(one_number(None, **task)).predict(np.full((8, 6, 3), 147, np.uint8))
    assert isinstance(found, Decision)
    assert found.score == pytest.approx(19.5 / 40, rel=1e-5)
    assert not found.positive


@pytest.mark.parametrize("labels", [None, ["red", "green", "blue"]])
def test_numbers_with_names(tasked: Tasked, labels: Any) -> None:
    found = load(tasked("features", labels, name="regress", outputs=["features"])).predict(GREEN)
    names = labels or ["features[0]", "features[1]", "features[2]"]
    assert isinstance(found, Numbers)
    assert [one.name for one in found.numbers] == names
    assert [one.value for one in found.numbers] == pytest.approx([20, 200, 40])


def test_a_single_number_has_the_name_of_its_output(one_number: Any) -> None:
    found = load(one_number(None, name="regress", outputs=["y"])).predict(GREEN)
    assert isinstance(found, Numbers)
    assert found.numbers == (Number("y", pytest.approx(72.5 / 40)),)


def test_raw_outputs_have_no_batch(tasked: Tasked) -> None:
    found = load(tasked("features", name="raw")).predict(GREEN)
    assert isinstance(found, RawOutputs)
    assert found.arrays["features"].shape == (3,)
    assert found.entry() == {"outputs": {"features": {"dtype": "float32", "shape": [3]}}}


def test_a_setting_of_another_task(tasked: Tasked) -> None:
    session = load(tasked("features", name="raw"))
    with pytest.raises(
        BadInput,
        match="threshold is for the task binary or multilabel or segment or detect, and this",
    ):
        session.predict(GREEN, Settings(threshold=0.5))
    with pytest.raises(BadInput, match="top_k must be 1 or more"):
        session.predict(GREEN, Settings(top_k=0))
    with pytest.raises(BadInput, match="threshold must be from 0 to 1, not 2"):
        session.predict(GREEN, Settings(threshold=2))


def test_a_task_that_reads_no_output_of_the_model(tasked: Tasked) -> None:
    with pytest.raises(BundleRefused, match="the task reads 'y', which is no output"):
        load(tasked("features", name="regress", outputs=["y"]))


def test_the_sigmoid_does_not_overflow() -> None:
    with np.errstate(over="raise", invalid="raise"):
        found = sigmoid(np.array([-1000.0, -1.0, 0.0, 1.0, 1000.0]))
    np.testing.assert_allclose(found, [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1], rtol=1e-15)


def test_saved_arrays_are_the_outputs(tasked: Tasked, tmp_path: Path, capsys: Any) -> None:
    bundle = tasked("features", name="raw")
    (tmp_path / "other").mkdir()
    paths = [str(tmp_path / "a.png"), str(tmp_path / "other" / "a.png")]
    for path, value in zip(paths, (10, 20), strict=True):
        Image.new("RGB", (6, 8), (value, 0, 0)).save(path)
    assert run_py(bundle, [*paths, "--json", "--save", str(tmp_path / "out")]) == 0
    saved = [one["saved"] for one in json.loads(capsys.readouterr().out)["pictures"]]
    assert saved == [str(tmp_path / "out" / "a.npz"), str(tmp_path / "out" / "a-2.npz")]
    for path, value in zip(saved, (10, 20), strict=True):
        with np.load(path) as arrays:
            np.testing.assert_allclose(arrays["features"], [value, 0, 0], rtol=1e-6)


def test_a_task_without_files_saves_nothing(multilabel: Path, tmp_path: Path, capsys: Any) -> None:
    assert run_py(multilabel, ["a.png", "--save", str(tmp_path / "out")]) == 16
    assert "error: the task multilabel has no files to save" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(tasked: Tasked, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    bundle = tasked("features", name="raw")
    assert run_py(bundle, ["a.png", "--save", str(tmp_path / "file" / "out")]) == 16
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["multilabel", "raw"])
def test_both_command_lines_give_the_same_json(
    request: pytest.FixtureRequest, tasked: Tasked, tmp_path: Path, capsys: Any, name: str
) -> None:
    raw = name == "raw"
    bundle = tasked("features", name="raw") if raw else request.getfixturevalue("multilabel")
    Image.fromarray(GREEN).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), str(tmp_path / "none.png"), "--json"]
    assert run_py(bundle, words) == 15
    ours = json.loads(capsys.readouterr().out)
    assert kexport_main(["run", str(bundle), *words]) == 15
    theirs = json.loads(capsys.readouterr().out)
    assert theirs == {"path": str(bundle), **ours}
    keys = ["outputs"] if raw else ["labels", "threshold"]
    assert list(ours["pictures"][0]) == ["picture", *keys]
    assert list(ours["pictures"][1]) == ["picture", "error"]
