"""Files that Keras 2 wrote (tests/fixtures/make_keras2.py), against what Keras 2 answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from support import assert_converts, operators

from kexport.errors import KexportError, UnsupportedModel, UntrustedModel
from kexport.source.keras2 import version_of
from kexport.source.saved_model import load_file

FILES = Path(__file__).parents[1] / "fixtures" / "keras2"
ANSWERS = np.load(FILES / "answers.npz")
ROUNDED = {"mixed_precision": 2e-3}
"""Relative errors of models that compute in float16."""


def arrays(name: str, kind: str) -> list[np.ndarray]:
    return [ANSWERS[key] for key in ANSWERS if key.startswith(f"{name}/{kind}")]


def inputs_of(name: str) -> Any:
    given = arrays(name, "x")
    if name == "dictionary":
        return {key: array for array in given for key in "ab" if array.shape[1] == 3 + (key == "a")}
    return given if len(given) > 1 else given[0]


@pytest.mark.parametrize("file", sorted(FILES.glob("*.[hk]*")), ids=lambda file: file.name)
def test_a_file_gives_what_keras_2_gives(file: Path) -> None:
    assert version_of(file) == "2.21.0"
    model = load_file(file, trust=False)
    found = keras.tree.flatten(model(inputs_of(file.stem), training=False))
    expected = arrays(file.stem, "y")
    assert len(found) == len(expected)
    for output, wanted in zip(found, expected, strict=True):
        gap = np.abs(np.asarray(output, np.float64) - wanted).max()
        assert gap <= ROUNDED.get(file.stem, 1e-5) * wanted.std()
        assert np.asarray(output).dtype == wanted.dtype


@pytest.mark.parametrize(
    "name",
    ["cudnn", "operations", "teachable", "time_distributed", "whole_numbers"],
)
def test_a_file_converts(name: str) -> None:
    model = load_file(FILES / f"{name}.h5", trust=False)
    assert_converts(model, *arrays(name, "x"), expected=arrays(name, "y"))


def test_hard_sigmoid_is_an_operator_of_onnx() -> None:
    model = load_file(FILES / "hard_sigmoid.h5", trust=False)
    converted = assert_converts(
        model, *arrays("hard_sigmoid", "x"), expected=arrays("hard_sigmoid", "y")
    )
    found = operators(converted.model)
    assert found["HardSigmoid"] == 2
    assert found["LSTM"] == 2
    assert "Scan" not in found


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


def test_training_that_is_always_on_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Conv2D")["inbound_nodes"][0][0][3]["training"] = True

    found = refused(edited(tmp_path, "shared", change))
    assert "is called with training=True, also in predict" in found


def test_kernels_of_theano_are_refused(tmp_path: Path) -> None:
    """Theano turns the windows of convolutions by half a turn, and no other weights."""

    def by_theano(name: str) -> Path:
        path = edited(tmp_path, name, lambda config: None)
        with h5py.File(path, "a") as file:
            file.attrs["backend"] = "theano"
        return path

    assert "are those of the backend Theano" in refused(by_theano("convolutions"))
    load_file(by_theano("recurrent"), trust=False)


def test_a_layer_that_keras_3_has_not_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Conv2D")["class_name"] = "LocallyConnected2D"

    found = refused(edited(tmp_path, "convolutions", change))
    assert "is a LocallyConnected2D, which Keras 3 has not" in found


def test_an_interpolation_that_keras_3_has_not_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer(config, "Resizing")["config"]["interpolation"] = "gaussian"

    found = refused(edited(tmp_path, "augmentation", change))
    assert "(Resizing) has interpolation='gaussian'" in found


def test_an_average_that_keras_2_rounds_is_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        first, *others = config["config"]["layers"]
        first["config"]["dtype"] = "uint8"
        config["config"]["layers"] = [first, others[-1]]

    found = refused(edited(tmp_path, "frozen", change))
    assert "(GlobalAveragePooling2D) rounds the average of uint8" in found


def test_gru_of_old_files_resets_before_the_product(tmp_path: Path) -> None:
    """Keras 2.1 had no `reset_after`, which is True in Keras 3 and was False."""

    def change(config: dict[str, Any]) -> None:
        del layer(config, "GRU")["config"]["reset_after"]

    assert "has the shape (15,) in Keras 3 and (2, 15)" in refused(
        edited(tmp_path, "recurrent", change)
    )


def test_parts_of_an_operation_do_not_take_the_name_of_a_layer(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        name = layer(config, "ThresholdedReLU")["config"]["name"]
        layer(config, "Activation")["config"]["name"] = f"{name}_1"

    model = load_file(edited(tmp_path, "hard_sigmoid", change), trust=False)
    names = [operation.name for operation in model.operations]
    assert len(set(names)) == len(names)
    expected = arrays("hard_sigmoid", "y")[0]
    found = np.asarray(model(inputs_of("hard_sigmoid"), training=False))
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std())


@pytest.mark.parametrize("name", ["masked", "time_distributed"])
def test_a_sequential_model_may_have_its_input_in_its_first_layer(
    tmp_path: Path, name: str
) -> None:
    def change(config: dict[str, Any]) -> None:
        given, first, *_ = config["config"]["layers"]
        first["config"]["batch_input_shape"] = given["config"]["batch_input_shape"]
        del config["config"]["layers"][0]

    model = load_file(edited(tmp_path, name, change), trust=False)
    expected = arrays(name, "y")[0]
    found = np.asarray(model(inputs_of(name), training=False))
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std())


def test_an_inner_model_of_whole_numbers_is_given_whole_numbers(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        inner = {"class_name": "Sequential", "config": dict(config["config"], name="inner")}
        config["config"] = {"name": "outer", "layers": [inner]}

    path = edited(tmp_path, "masked", change)
    with h5py.File(path, "a") as file:
        groups = file["model_weights"]
        held = [group for group in groups.values() if len(group.attrs.get("weight_names", ()))]
        names = [name for group in held for name in group.attrs["weight_names"]]
        inner = groups.create_group("inner")
        for group in held:
            for name in group.attrs["weight_names"]:
                inner[name] = group[name][...]
        inner.attrs["weight_names"] = names
    model = load_file(path, trust=False)
    assert model.inputs[0].dtype == "int32"
    expected = arrays("masked", "y")[0]
    found = np.asarray(model(inputs_of("masked"), training=False))
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std())


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
