"""Functions of TensorFlow that files of Keras 2 name, against TensorFlow itself."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kexport.errors import UnsupportedModel
from kexport.source.keras2.functions import FUNCTIONS, function_of


def tensorflow(name: str) -> Any:
    return reduce(getattr, name.split("."), tf)


PLAIN = [name for name in FUNCTIONS if "__operators__" not in name]
POSITIVE = np.random.default_rng(0).uniform(0.1, 2, (2, 3, 4)).astype(np.float32)
OTHER = np.random.default_rng(1).uniform(0.1, 2, (2, 3, 4)).astype(np.float32)
KEYWORDS: dict[str, dict[str, Any]] = {
    "cast": {"dtype": "int32"},
    "clip_by_value": {"clip_value_min": 0.5, "clip_value_max": 1.5},
    "compat.v1.pad": {"paddings": [[0, 0], [1, 2], [0, 1]], "constant_values": 3.0},
    "compat.v1.squeeze": {},
    "compat.v1.transpose": {"perm": [2, 0, 1]},
    "expand_dims": {"axis": 1},
    "image.resize": {"size": [5, 3], "method": "nearest"},
    "linalg.matmul": {"b": OTHER, "transpose_b": True},
    "nn.bias_add": {"bias": [1.0, 0.5, 2.0, 0.0], "data_format": "NHWC"},
    "nn.gelu": {"approximate": True},
    "nn.leaky_relu": {"alpha": 0.3},
    "pad": {"paddings": [[0, 0], [2, 1], [1, 0]], "mode": "REFLECT"},
    "reshape": {"shape": [4, -1]},
    "tile": {"multiples": [1, 2, 1]},
    "transpose": {},
    "where": {"x": POSITIVE, "y": [1.0, 2.0, 3.0, 4.0]},
}
COMPARISONS = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
TWO = (
    *("add", "divide", "floor_div", "floordiv", "maximum", "minimum", "multiply", "pow"),
    *("subtract", "truediv"),
)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_functions_are_those_of_tensorflow(name: str) -> None:
    given = POSITIVE - 1 if "nn." in name and "normalize" not in name else POSITIVE
    keywords = KEYWORDS.get(name, {})
    if name.endswith("l2_normalize"):
        keywords = {"axis": -1}
    elif name.endswith(TWO) and "nn." not in name:
        keywords = {"y": OTHER}
    elif "reduce_" in name:
        given = given > 0.5 if name.endswith(("all", "any")) else given
        keywords = {"axis": 1, "keepdims": True}
    elif name.endswith(COMPARISONS):
        given, keywords = np.round(2 * given), {"y": [1.0, 2.0, 3.0, 4.0]}
    elif "logical" in name or name == "where":
        given = given > 1
        keywords = keywords or {} if name.endswith(("not", "where")) else {"y": OTHER > 1}
    first: Any = [given, OTHER] if name in ("concat", "stack") else given
    keywords = {"axis": -1} if name in ("concat", "stack") else keywords
    expected = tensorflow(name)(first, **keywords)
    found = function_of(name)(first, **keywords, name=None)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=2e-6, atol=1e-6)


OPERATORS = [name.removeprefix("__operators__.") for name in FUNCTIONS if "__operators__" in name]


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"getitem", "neg"}))
@pytest.mark.parametrize("other", [2.0, [0.5, 1.0, 2.0, 3.0], OTHER], ids=["one", "list", "tensor"])
def test_operators_are_those_of_python(name: str, other: Any) -> None:
    expected = getattr(POSITIVE, f"__{name}__")(np.asarray(other, np.float32))
    found = function_of(f"__operators__.{name}")(POSITIVE, y=other)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


def test_negation_is_that_of_python() -> None:
    np.testing.assert_array_equal(function_of("__operators__.neg")(POSITIVE), -POSITIVE)


WHOLE = np.random.default_rng(0).integers(1, 250, (2, 3, 4))
SAME_OF_WHOLE_NUMBERS: dict[str, dict[str, Any]] = {
    "identity": {},
    "image.resize": {"size": (5, 3)},
    "math.floordiv": {"y": [1, 2, 3, 4]},
    "math.maximum": {"y": [9, 99, 199, 0]},
    "math.multiply": {"y": 3},
    "math.reduce_max": {"axis": 1},
    "math.reduce_prod": {"axis": 1},
    "math.reduce_sum": {"axis": [1, 2]},
    "math.square": {},
    "math.subtract": {"y": [1, 2, 3, 4]},
    "nn.leaky_relu": {},
    "nn.relu6": {},
}


@pytest.mark.parametrize("name", SAME_OF_WHOLE_NUMBERS)
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_functions_of_whole_numbers_are_those_of_tensorflow(name: str, dtype: str) -> None:
    given, keywords = tf.constant(WHOLE.astype(dtype)), SAME_OF_WHOLE_NUMBERS[name]
    expected = tensorflow(name)(given, **keywords)
    found = function_of(name)(given, **keywords)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6)


def test_means_that_tensorflow_rounds_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="is of int32, a mean that TensorFlow rounds"):
        function_of("math.reduce_mean")(tf.constant(WHOLE.astype("int32")))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([{"class_name": "__ellipsis__"}, 0], POSITIVE[..., 0]),
        ([0, {"start": 1, "stop": None, "step": None}], POSITIVE[0, 1:]),
        ({"start": None, "stop": 1, "step": None}, POSITIVE[:1]),
    ],
)
def test_indices_are_those_of_python(spec: Any, expected: np.ndarray) -> None:
    found = function_of("__operators__.getitem")(POSITIVE, slice_spec=spec)
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_an_index_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="an index is"):
        function_of("__operators__.getitem")(POSITIVE, slice_spec=[{"class_name": "__tensor__"}])
