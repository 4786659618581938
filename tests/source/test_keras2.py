"""Files that Keras 2 wrote (tests/fixtures/make_keras2.py), against what Keras 2 answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import assert_converts

from kexport.errors import KexportError, UnsupportedModel, UntrustedModel
from kexport.source.keras2 import version_of
from kexport.source.keras2.functions import FUNCTIONS, function_of
from kexport.source.saved_model import load_file

FILES = Path(__file__).parents[1] / "fixtures" / "keras2"
ANSWERS = np.load(FILES / "answers.npz")
ROUNDED = {"mixed_precision": 2e-3}
"""Relative errors of models that compute in float16."""


def arrays(name: str, kind: str) -> list[np.ndarray]:
    return [ANSWERS[key] for key in ANSWERS if key.startswith(f"{name}/{kind}")]


def inputs_of(model: keras.Model, name: str) -> Any:
    given = arrays(name, "x")
    if name == "dictionary":
        return {key: array for array in given for key in "ab" if array.shape[1] == 3 + (key == "a")}
    return given if len(given) > 1 else given[0]


@pytest.mark.parametrize("file", sorted(FILES.glob("*.[hk]*")), ids=lambda file: file.name)
def test_a_file_gives_what_keras_2_gives(file: Path) -> None:
    assert version_of(file) == "2.21.0"
    model = load_file(file, trust=False)
    found = keras.tree.flatten(model(inputs_of(model, file.stem), training=False))
    expected = arrays(file.stem, "y")
    assert len(found) == len(expected)
    for output, wanted in zip(found, expected, strict=True):
        gap = np.abs(np.asarray(output) - wanted).max()
        assert gap <= ROUNDED.get(file.stem, 1e-5) * wanted.std()


@pytest.mark.parametrize("name", ["hard_sigmoid", "operations", "teachable", "time_distributed"])
def test_a_file_converts(name: str) -> None:
    model = load_file(FILES / f"{name}.h5", trust=False)
    assert_converts(model, *arrays(name, "x"), expected=arrays(name, "y"))


def test_names_keep_all_but_the_slash() -> None:
    model = load_file(FILES / "slashes.h5", trust=False)
    names = [layer.name for layer in model.layers[1:]]
    assert names == ["expanded_conv_depthwise", "expanded_conv_bn", "pool_max"]


def test_files_of_keras_3_are_not_those_of_keras_2(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for name in ("new.h5", "new.keras"):
        model.save(tmp_path / name)
        assert version_of(tmp_path / name) is None


def edited(tmp_path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy a file, with a changed configuration."""
    path = tmp_path / "edited.h5"
    shutil.copy(FILES / f"{name}.h5", path)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def refused(path: Path, kind: type[KexportError] = UnsupportedModel) -> str:
    with pytest.raises(kind) as caught:
        load_file(path, trust=False)
    if kind is UnsupportedModel:
        assert "tf-keras" in str(caught.value.hint)
        assert str(caught.value).startswith(f"{path} was written by Keras 2.21.0, and ")
    return str(caught.value)


def layer(config: dict[str, Any], class_name: str) -> dict[str, Any]:
    return next(each for each in config["config"]["layers"] if each["class_name"] == class_name)


def test_an_argument_that_changes_numbers_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "GRU")["config"]["time_major"] = True

    assert "(GRU) has time_major=True" in refused(edited(tmp_path, "recurrent", change))


def test_an_argument_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Conv2D")["config"]["flux"] = 3

    assert "(Conv2D) has flux=3" in refused(edited(tmp_path, "convolutions", change))


def test_a_function_without_an_equal_is_refused_by_name(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "TFOpLambda")["config"]["function"] = "signal.fft"

    assert "tf.signal.fft" in refused(edited(tmp_path, "operations", change))


def test_a_subclassed_model_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["class_name"] = "Detector"

    found = refused(edited(tmp_path, "convolutions", change))
    assert "the model is of the class 'Detector', whose code is not in the file" in found


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Dense")["config"]["units"] = 7

    assert "shape (36, 7) in Keras 3 and (36, 3)" in refused(
        edited(tmp_path, "convolutions", change)
    )


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    shutil.copy(FILES / "convolutions.h5", path)
    with h5py.File(path, "a") as file:
        name = next(name for name in file["model_weights"] if name.startswith("dense"))
        del file["model_weights"][name]
    assert "2 weights in Keras 3 and 0 in it" in refused(path)


def test_layers_of_one_name_in_inner_models_are_refused(tmp_path: Path) -> None:
    """The file would not tell whose weights are whose."""

    def change(config: dict[str, Any]) -> None:
        features, head = (dict(each) for each in config["config"]["layers"][-2:])
        dense = head["config"]["layers"][1]["config"]
        functional = features["config"]["layers"][1]["config"]
        functional["layers"][1]["config"]["name"] = functional["layers"][1]["name"] = dense["name"]
        functional["layers"][2]["inbound_nodes"][0][0][0] = dense["name"]
        inner = {"class_name": "Sequential", "config": dict(config["config"], name="inner")}
        config["config"] = {"name": "outer", "layers": [config["config"]["layers"][0], inner]}

    assert "two layers in 'inner' have one name" in refused(edited(tmp_path, "teachable", change))


def test_code_in_a_file_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        dense = layer(config, "Dense")
        dense["class_name"] = "Lambda"
        dense["config"] = {"name": "code", "function": ["4wAA", None, None]}

    found = refused(edited(tmp_path, "convolutions", change), UntrustedModel)
    assert "layer 'code', a Lambda layer," in found


def test_a_custom_layer_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Dense")["class_name"] = "Ours"

    with pytest.raises(UnsupportedModel, match="custom class 'Ours'") as caught:
        load_file(edited(tmp_path, "convolutions", change), trust=False)
    assert "register_keras_serializable" in str(caught.value.hint)


def tensorflow(name: str) -> Any:
    return reduce(lambda found, part: getattr(found, part, None), name.split("."), tf)


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
    "nn.bias_add": {"bias": OTHER[0, 0]},
    "nn.gelu": {"approximate": True},
    "nn.leaky_relu": {"alpha": 0.3},
    "pad": {"paddings": [[0, 0], [2, 1], [1, 0]], "mode": "REFLECT"},
    "reshape": {"shape": [4, -1]},
    "tile": {"multiples": [1, 2, 1]},
    "transpose": {},
}
TWO = ("add", "divide", "floordiv", "maximum", "minimum", "multiply", "pow", "subtract", "truediv")


@pytest.mark.parametrize("name", sorted(filter(tensorflow, PLAIN)))
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
    first: Any = [given, OTHER] if name in ("concat", "stack") else given
    keywords = {"axis": -1} if name in ("concat", "stack") else keywords
    expected = tensorflow(name)(first, **keywords)
    found = function_of(name)(first, **keywords, name=None)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add", POSITIVE + 2),
        ("rsub", 2 - POSITIVE),
        ("rtruediv", 2 / POSITIVE),
        ("pow", POSITIVE**2),
        ("rpow", 2**POSITIVE),
    ],
)
def test_operators_are_those_of_python(name: str, expected: np.ndarray) -> None:
    found = function_of(f"__operators__.{name}")(POSITIVE, y=2.0)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


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
