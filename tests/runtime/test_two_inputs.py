"""A model whose two inputs are plain tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kexport.runtime import BadInput, Session, load


def plain(name: str, shape: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": shape, **more}


@pytest.fixture
def session(build: Any, reseal: Any, rewrite: Any) -> Session:
    """sum = left + right, both float32 [N, 2]."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])
        for name in ("left", "right", "sum")
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", ["left", "right"], ["sum"])], "add", values[:2], values[2:]
    )
    bundle: Path = build(labels=None)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, bundle / "model.onnx")
    plain_tensor = {"layout": None, "color": None, "range": None}
    rewrite(
        bundle,
        lambda data: data.update(
            inputs=[
                plain("left", [None, 2], **plain_tensor),
                plain("right", [None, 2], **plain_tensor),
            ],
            outputs=[plain("sum", [None, 2], kind="tensor", layer="add")],
        ),
    )
    reseal(bundle)
    return load(bundle)


LEFT = np.array([[1, 2], [3, 4]], np.float32)


def test_both_by_name_in_any_order(session: Session):
    np.testing.assert_array_equal(session.run({"right": LEFT, "left": LEFT})["sum"], LEFT * 2)


def test_one_sample_each(session: Session):
    np.testing.assert_array_equal(session.run({"left": LEFT[0], "right": LEFT[1]})["sum"], [[4, 6]])


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        (LEFT, "the model has 2 inputs, and got one value", "pass a dict with left, right"),
        ({"left": LEFT}, "input 'right' is missing", "the model's inputs are: left, right"),
        (
            {"left": LEFT, "right": LEFT[:1]},
            "the inputs hold different numbers of samples: left 2, right 1",
            "give every input the same batch",
        ),
        (
            {"left": LEFT, "right": LEFT.astype(np.float64)},
            "input 'right' takes float32 [N, 2], got float64 [2, 2]",
            "convert it with .astype('float32')",
        ),
        (
            {"left": LEFT, "right": LEFT[:, :1]},
            "input 'right' takes float32 [N, 2], got float32 [2, 1]",
            None,
        ),
    ],
)
def test_invalid_inputs_are_refused(session: Session, inputs: Any, message: str, hint: str | None):
    with pytest.raises(BadInput) as caught:
        session.run(inputs)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_an_image_alone_is_not_enough_for_two_inputs(session: Session):
    with pytest.raises(BadInput, match="the model has 2 inputs, and got one value"):
        session.predict(np.zeros((8, 6, 3), np.uint8))


def test_numbers_of_one_sample_are_answered(session: Session):
    answer = session.predict({"left": [1, 2], "right": LEFT[1]})
    np.testing.assert_array_equal(answer.arrays["sum"], [4, 6])


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("a.jpg", r"takes numbers, float32 \[N, 2\], and got the file a.jpg"),
        ([1, "x"], "takes float32 \\[N, 2\\], and got a list"),
        ([1, 2, 3], "takes float32 \\[N, 2\\], got float32 \\[1, 3\\]"),
    ],
)
def test_what_is_no_number_is_refused(session: Session, left: Any, message: str):
    with pytest.raises(BadInput, match=message):
        session.predict({"left": left, "right": [1, 2]})
