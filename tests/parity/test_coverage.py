"""Branches of a graph, and which of them inputs reach."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers, ops
from support import Sketch

from kexport.conversion import convert_model
from kexport.parity import coverage, samples
from kexport.stages import optimize

ENDS = {
    "Relu": ({}, 0.0, 0.0),
    "LeakyRelu": ({"alpha": 0.1}, 0.0, 0.0),
    "Elu": ({}, 0.0, 0.0),
    "ThresholdedRelu": ({"alpha": 2.0}, 2.0, 2.0),
    "HardSigmoid": ({"alpha": 0.25, "beta": 0.5}, -2.0, 2.0),
    "HardSwish": ({}, -3.0, 3.0),
}
"""Operators, their attributes, and between which values they are not saturated."""


def measured(model: ir.Model, *feeds: Any) -> tuple[int, list[str]]:
    found = coverage.measure(model, [{"x": np.asarray(feed)} for feed in feeds])
    assert found.total == found.reached + len(found.unreached)
    return found.total, [one.branch for one in found.unreached]


def of_keras(model: keras.Model, batch: int | None = 1) -> coverage.Coverage:
    made = samples.make(model, "none", 0)
    graph = optimize.simplified(convert_model(model), made, batch or "dynamic", lambda _: None)
    return coverage.of_samples(graph.model, made)


@pytest.mark.parametrize("operator", ENDS)
def test_both_sides_of_an_activation(operator: str) -> None:
    attributes, low, high = ENDS[operator]
    sketch = Sketch()
    model = sketch.model(sketch.op(operator, sketch.input("x", (1, 2)), **attributes))
    below, above = np.array([[low - 0.1, low]]), np.array([[high, high + 0.1]])
    below, above = below.astype(np.float32), above.astype(np.float32)
    names = [f"below {low:g}", f"above {high:g}"]
    assert measured(model, below, above) == (2, [])
    assert measured(model, below) == (2, [names[1]])
    assert measured(model, above) == (2, [names[0]])


@pytest.mark.parametrize("operator", ["Clip", "Min", "Max"])
def test_numbers_that_limit(operator: str) -> None:
    sketch = Sketch()
    x, six = sketch.input("x", (1, 2)), sketch.constant("six", 6.0)
    more = (sketch.constant("zero", 0.0), six) if operator == "Clip" else (six,)
    model = sketch.model(sketch.op(operator, x, *more))
    low = "below 0" if operator == "Clip" else "below 6"
    assert measured(model, np.float32([[-1, 7]])) == (2, [])
    assert measured(model, np.float32([[6, 6]])) == (2, [low, "above 6"])


def test_a_clip_without_an_end_has_one_side() -> None:
    sketch = Sketch()
    x, largest = sketch.input("x", (1, 2)), sketch.constant("most", np.finfo(np.float32).max)
    model = sketch.model(sketch.op("Clip", x, sketch.constant("zero", 0.0), largest))
    assert measured(model, np.float32([[1, 2]])) == (1, ["below 0"])


def test_a_condition_is_true_and_false() -> None:
    sketch = Sketch()
    x = sketch.input("x", (1, 2))
    chosen = sketch.op("Not", sketch.op("Greater", x, sketch.constant("one", 1.0)))
    model = sketch.model(sketch.op("Where", chosen, x, sketch.constant("zero", 0.0)))
    assert measured(model, np.float32([[0, 2]])) == (2, [])
    assert measured(model, np.float32([[0, 1]])) == (2, ["true"])
    assert measured(model, np.float32([[2, 3]])) == (2, ["false"])


def test_the_ends_of_a_table() -> None:
    sketch = Sketch()
    table = sketch.constant("table", np.ones((5, 2)))
    model = sketch.model(sketch.op("Gather", table, sketch.input("x", (1, 2), ir.DataType.INT32)))
    assert measured(model, np.int32([[0, 4]])) == (2, [])
    assert measured(model, np.int32([[1, 3]])) == (2, ["id 0", "id 4"])


def test_what_depends_on_shapes_alone_is_no_branch() -> None:
    sketch = Sketch()
    x = sketch.input("x", (1, "n"))
    longer = sketch.op("Greater", sketch.op("Shape", x), sketch.constant("one", [1, 1], np.int64))
    model = sketch.model(sketch.op("Cast", longer, to=ir.DataType.FLOAT))
    assert measured(model, np.float32([[1, 2]])) == (0, [])


def test_the_model_is_unchanged() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.op("Relu", sketch.input("x", (1, 2))))
    measured(model, np.float32([[1, 2]]))
    assert [node.op_type for node in model.graph] == ["Relu"]
    assert len(model.graph.outputs) == 1


def test_branches_are_named_by_the_keras_layer() -> None:
    x = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.ReLU(6.0, name="relu6")], name="in")
    y = inner(x * 0.001)
    found = of_keras(keras.Model(x, y))
    assert found.unreached == (
        coverage.Unreached("in/relu6", "Clip", "below 0"),
        coverage.Unreached("in/relu6", "Clip", "above 6"),
    )
    assert found.entry() == {
        "reached": 0,
        "total": 2,
        "unreached": [
            {"layer": "in/relu6", "operator": "Clip", "branch": branch}
            for branch in ("below 0", "above 6")
        ],
        "left_out": [],
    }


def test_samples_reach_masks_and_ids() -> None:
    x, mask = keras.Input((7, 4), name="x"), keras.Input((7,), dtype="bool", name="mask")
    y = layers.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.expand_dims(mask, 1))
    ids = keras.Input((7,), dtype="int32", name="ids")
    z = layers.Embedding(30, 4)(ids)
    found = of_keras(keras.Model([x, mask, ids], [y, z]), batch=None)
    assert {one.branch for one in found.unreached} <= {"true"}  # no id is negative
    assert found.total >= 4


def test_what_is_left_out_is_passed_on() -> None:
    x = keras.Input((8, 8, 3))
    found = of_keras(keras.Model(x, x / ops.std(x, axis=(1, 2, 3), keepdims=True)))
    assert len(found.left_out) == 3
