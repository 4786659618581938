"""Which task is found in a model, and what is refused."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from kexport.conversion import convert_model
from kexport.errors import BadArgument
from kexport.options.task import Task
from kexport.outputs import Output
from kexport.tasks import Evidence, resolve

SIGMOID: dict[str, Any] = {"activation": "sigmoid"}
SOFTMAX: dict[str, Any] = {"activation": "softmax"}


def outputs(*heads: Any) -> tuple[Output, ...]:
    x = keras.Input((4,))
    return convert_model(keras.Model(x, [head(x) for head in heads])).outputs


def dense(units: int, name: str = "y", **options: Any) -> Any:
    return layers.Dense(units, name=name, **options)


def entry(*heads: Any, task: Task | None = None, **evidence: Any) -> dict[str, Any]:
    return resolve(task or Task(), outputs(*heads), Evidence(**evidence)).entry


CERTAIN: Any = [
    (dense(3, **SOFTMAX), {}, "classify", "the softmax of 'y'"),
    (dense(1, **SIGMOID), {}, "binary", "the sigmoid of 'y', one number"),
    (dense(1), {"labels": 2}, "binary", "the two labels, and the one number of 'y'"),
    (dense(3), {"labels": 3}, "classify", "the labels, one for each number of 'y'"),
    (dense(3), {"ranked": True}, "classify", "the best classes that are asked of 'y'"),
    (dense(3), {"labelled": True}, "classify", "the labelled images that 'y' is judged on"),
]


@pytest.mark.parametrize(("head", "evidence", "name", "reason"), CERTAIN)
def test_what_is_certain(head: Any, evidence: Any, name: str, reason: str) -> None:
    found = entry(head, **evidence)
    assert (found["name"], found["reason"], found["output"]) == (name, reason, "y")


UNCERTAIN: Any = [
    (dense(4, "box"), {}),
    (dense(1), {}),
    (dense(1), {"labels": 1}),
    (dense(1), {"ranked": True}),
    (dense(4, **SIGMOID), {}),
    (dense(4, **SIGMOID), {"labels": 4}),
    (dense(4, activation="relu"), {"labels": 4}),
    (dense(3), {"labels": 2}),
]


@pytest.mark.parametrize(("head", "evidence"), UNCERTAIN)
def test_what_is_not_certain_is_raw(head: Any, evidence: Any) -> None:
    found = resolve(Task(), outputs(head), Evidence(**evidence))
    assert found.entry == {"name": "raw", "reason": "nothing tells what the outputs mean"}
    assert [output.kind for output in found.outputs] == ["tensor"]


def test_logits_are_of_kind_logits_once_that_is_known() -> None:
    told = resolve(Task("classify"), outputs(dense(3)), Evidence())
    assert [output.kind for output in told.outputs] == ["logits"]
    assert told.entry == {"name": "classify", "output": "y", "from_logits": True, "reason": None}
    assert told.labels == (3,)


def test_a_softmax_among_several_outputs_is_what_is_classified() -> None:
    found = entry(dense(4, "box"), dense(3, "species", **SOFTMAX))
    assert (found["name"], found["output"]) == ("classify", "species")


def test_a_sigmoid_of_each_class_can_be_classified() -> None:
    told = resolve(Task("classify"), outputs(dense(3, **SIGMOID)), Evidence())
    assert told.entry["from_logits"] is False
    assert [output.kind for output in told.outputs] == ["tensor"]


@pytest.mark.parametrize(("head", "logits"), [(dense(3), True), (dense(3, **SIGMOID), False)])
def test_multilabel(head: Any, logits: bool) -> None:
    found = entry(head, task=Task("multilabel", threshold=0.3))
    assert found == {
        "name": "multilabel",
        "output": "y",
        "from_logits": logits,
        "threshold": 0.3,
        "reason": None,
    }


def cells(channels: int, **options: Any) -> tuple[Output, ...]:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(channels, 3, name="cells", **options)(x)
    return convert_model(keras.Model(x, y)).outputs


def test_a_mask_of_a_channel_for_each_class() -> None:
    found = resolve(
        Task("segment", palette=("#000000", "#FF8000", "#0102ff")), cells(3), Evidence()
    )
    assert found.labels == (3,)
    assert found.entry == {
        "name": "segment",
        "output": "cells",
        "from_logits": False,
        "threshold": None,
        "palette": [[0, 0, 0], [255, 128, 0], [1, 2, 255]],
        "reason": None,
    }


@pytest.mark.parametrize(("options", "logits"), [({}, True), (SIGMOID, False)])
def test_a_mask_of_one_channel(options: Any, logits: bool) -> None:
    found = resolve(Task("segment"), cells(1, **options), Evidence())
    entry = {"from_logits": logits, "threshold": 0.5, "palette": None}
    assert {key: found.entry[key] for key in entry} == entry
    assert found.labels == (1, 2)


WRONG_MASKS: Any = [
    (3, Task("segment", threshold=0.5), "a threshold is for masks of one channel"),
    (3, Task("segment", palette=("#000000",)), "has 1 colours, and the mask 3 classes"),
    (256, Task("segment"), "a mask has up to 255 classes, and 'cells' has 256"),
]


@pytest.mark.parametrize(("channels", "task", "said"), WRONG_MASKS)
def test_masks_that_cannot_be(channels: int, task: Task, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        resolve(task, cells(channels), Evidence())


@pytest.mark.parametrize(
    ("options", "values"), [(SIGMOID, [0.0, 1.0]), ({"activation": "tanh"}, [-1.0, 1.0])]
)
def test_the_range_of_an_image_follows_from_its_function(options: Any, values: Any) -> None:
    found = resolve(Task("image"), cells(3, **options), Evidence())
    assert found.entry == {"name": "image", "output": "cells", "range": values, "reason": None}


def test_the_range_of_another_image_has_to_be_given() -> None:
    with pytest.raises(BadArgument, match="does not tell which values of 'cells' are black"):
        resolve(Task("image"), cells(1), Evidence())
    told = resolve(Task("image", range=(0, 255)), cells(1), Evidence())
    assert told.entry["range"] == [0, 255]
    for wrong in ((1.0, 0.0), (0.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(BadArgument, match="must be two numbers, the smaller first"):
            Task("image", range=wrong)


def grid(*widths: int, names: Any = ("boxes", "scores")) -> tuple[Output, ...]:
    x = keras.Input((6, 3))
    heads = [layers.Dense(w, name=name)(x) for w, name in zip(widths, names, strict=False)]
    return convert_model(keras.Model(x, heads)).outputs


RELATIVE = Task("detect", box_format="cxcywh", box_units="relative")


def test_boxes_and_scores_in_two_outputs() -> None:
    found = resolve(RELATIVE, grid(3, 4, names=("scores", "where")), Evidence())
    assert found.labels == (3,)
    assert found.entry == {
        "name": "detect",
        "boxes": "where",
        "scores": "scores",
        "format": "cxcywh",
        "relative": True,
        "from_logits": True,
        "threshold": 0.5,
        "iou": 0.5,
        "reason": None,
    }
    four = resolve(RELATIVE, grid(4, 4, names=("scores", "boxes")), Evidence())
    assert (four.entry["boxes"], four.entry["scores"]) == ("boxes", "scores")


def test_boxes_and_scores_side_by_side() -> None:
    task = Task("detect", 0.2, False, box_format="xyxy", box_units="pixels", iou=0.7)
    found = resolve(task, grid(9), Evidence())
    assert found.labels == (5,)
    assert (found.entry["boxes"], found.entry["scores"]) == ("boxes", "boxes")
    told = {key: found.entry[key] for key in ("relative", "from_logits", "threshold", "iou")}
    assert told == {"relative": False, "from_logits": False, "threshold": 0.2, "iou": 0.7}


@pytest.mark.parametrize("missing", ["box_format", "box_units"])
def test_how_boxes_are_written_has_to_be_told(missing: str) -> None:
    task = Task("detect", **{"box_format": "xyxy", "box_units": "pixels", missing: None})
    with pytest.raises(BadArgument, match="nothing in a model tells how its boxes are written"):
        resolve(task, grid(4, 2), Evidence())


NO_BOXES: Any = [
    grid(4),
    grid(4, 4, names=("a", "b")),
    grid(5, 3),
    grid(4, 2, 2, names=("boxes", "a", "b")),
]


@pytest.mark.parametrize("outputs", NO_BOXES)
def test_outputs_that_are_no_boxes(outputs: Any) -> None:
    with pytest.raises(BadArgument, match=r"detect needs boxes \[N, boxes, 4\] and scores"):
        resolve(RELATIVE, outputs, Evidence())


def test_a_colour_is_hexadecimal() -> None:
    with pytest.raises(BadArgument, match=r"'red' in `task\.palette` is no colour"):
        Task("segment", palette=("red",))


def test_regress_reads_all_outputs() -> None:
    found = resolve(Task("regress"), outputs(dense(4, "box"), dense(1, "age")), Evidence())
    assert found.entry == {"name": "regress", "outputs": ["box", "age"], "reason": None}
    assert found.labels == (5,)


def test_a_last_layer_that_does_not_tell_needs_a_word() -> None:
    relu = dense(1, activation="relu")
    with pytest.raises(BadArgument, match="does not tell whether 'y' is scores") as caught:
        entry(relu, task=Task("binary"))
    assert caught.value.hint == "say so with `task.from_logits`"
    assert entry(relu, task=Task("binary", from_logits=False))["from_logits"] is False


REFUSED: Any = [
    ("classify", [dense(1)], "classify needs scores"),
    ("classify", [dense(3, "a"), dense(3, "b")], "reads one output, and the model has a"),
    ("binary", [dense(2)], r"one number a sample, \[N, 1\], and the model has y \[N, 2\]"),
    ("segment", [dense(3)], r"for each cell, \[N, h, w, classes\], and the model has y"),
    ("image", [dense(3)], r"\[N, h, w, 1\] or \[N, h, w, 3\], and the model has y"),
    ("embed", [layers.Reshape((2, 2))], r"one vector a sample, \[N, numbers\]"),
    ("multilabel", [dense(3, **SOFTMAX)], "and the model has a softmax"),
    ("multilabel", [layers.Reshape((2, 2))], r"\(3 axes\)"),
    ("regress", [layers.Reshape((2, 2))], "rows of numbers"),
]


@pytest.mark.parametrize(("name", "heads", "said"), REFUSED)
def test_outputs_that_do_not_suit_the_task(name: Any, heads: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        entry(*heads, task=Task(name))


def test_an_option_of_another_task_is_refused() -> None:
    with pytest.raises(BadArgument, match="for the tasks binary, multilabel, segment, detect, and"):
        entry(dense(4), task=Task(threshold=0.5))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_score(threshold: float) -> None:
    with pytest.raises(BadArgument, match="must be a score from 0 to 1"):
        Task("binary", threshold=threshold)


def test_a_misspelt_task_is_named() -> None:
    with pytest.raises(BadArgument, match="no task is called 'multilable'") as caught:
        Task("multilable")  # type: ignore[arg-type]
    assert caught.value.hint == "did you mean 'multilabel'?"
