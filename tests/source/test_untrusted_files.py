"""Untrusted model files run no code, open no other files and change no state."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from model_files import ONES, in_both, plain, refused, with_config, with_layer

from kexport.errors import UnreadableModel, UntrustedModel
from kexport.source.saved_model import load_file


def configured(change: Callable[[dict[str, Any]], None]) -> str:
    """Return the plain model's configuration with a change."""
    config = json.loads(plain().to_json())
    change(config["config"])
    return json.dumps(config)


def named(module: str, name: str) -> dict[str, str]:
    """Return a function in the form in which Keras serializes one."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def calling(module: str, name: str, *arguments: Any) -> str:
    """Add a Switch on constants to the plain model: loading calls the functions that it names."""

    def add(config: dict[str, Any]) -> None:
        config["layers"].append(
            {
                "module": "keras.src.ops.core",
                "class_name": "Switch",
                "name": "pick",
                "config": {"name": "pick"},
                "registered_name": "Switch",
                "inbound_nodes": [{"args": [0, [named(module, name)], *arguments], "kwargs": {}}],
            }
        )

    return configured(add)


@pytest.fixture
def epsilon() -> Iterator[float]:
    """Return a part of Keras' global state that public functions change."""
    before = keras.config.epsilon()
    yield before
    keras.config.set_epsilon(before)


@in_both
def test_an_operation_on_constants_calls_nothing(
    kind: str, epsilon: float, saved: Path, tmp_path: Path
) -> None:
    """With trust it does, which shows that this file would."""
    path = with_config(saved, tmp_path, kind, calling("keras.config", "set_epsilon", 0.125))
    error = refused(path, UntrustedModel)
    assert str(error).startswith(f"{path} names keras.src.ops.core.Switch of layer 'pick'")
    assert "`recipe.trust=True`" in (error.hint or "")
    assert keras.config.epsilon() == epsilon
    load_file(path, trust=True)
    assert keras.config.epsilon() == 0.125


@in_both
def test_a_saved_model_beside_the_file_is_not_loaded(
    kind: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFSMLayer named as a function, so that no class name in the file is its."""
    loaded: list[str] = []
    monkeypatch.setattr(tf.saved_model, "load", loaded.append)
    path = with_config(saved, tmp_path, kind, calling("keras.layers", "TFSMLayer", "there"))
    assert refused(path, UntrustedModel)
    assert loaded == []
    refused(path, UnreadableModel, trust=True)
    assert loaded == ["there"]


@in_both
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.config", "set_floatx"),
        ("keras.datasets.mnist", "load_data"),
        ("keras.layers", "TFSMLayer"),
        ("builtins", "deserialize"),
    ],
)
@pytest.mark.parametrize("argument", ["kernel_initializer", "activation", "kernel_regularizer"])
def test_a_function_that_takes_no_tensors_is_refused_as_an_argument(
    argument: str, module: str, name: str, kind: str, saved: Path, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["layers"][1]["config"][argument] = named(module, name)

    path = with_config(saved, tmp_path, kind, configured(change))
    assert name in str(refused(path, UntrustedModel))


@in_both
def test_a_function_in_the_place_of_a_class_is_refused(
    kind: str, saved: Path, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        layer = config["layers"][1]
        layer.update({"module": "keras.utils", "class_name": "get_file", "registered_name": None})

    path = with_config(saved, tmp_path, kind, configured(change))
    assert "names keras.utils.get_file" in str(refused(path, UntrustedModel))


@in_both
def test_a_vocabulary_in_another_file_is_not_read(kind: str, saved: Path, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer = {"name": "words", "vocabulary": "/etc/hostname"}
        config["layers"][1].update({"class_name": "StringLookup", "config": layer})

    path = with_config(saved, tmp_path, kind, configured(change))
    error = refused(path, UntrustedModel)
    assert str(error) == f"{path} names another file as the vocabulary of layer 'words'"


def test_a_text_that_legacy_files_read_as_a_function(saved: Path, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["layers"][1]["config"]["activation"] = "deserialize"

    path = with_config(saved, tmp_path, ".h5", configured(change))
    assert "names the function 'deserialize' as the activation" in str(
        refused(path, UntrustedModel)
    )


@pytest.mark.parametrize("mark", ["__typespec__", "TypeSpec", "CompositeTensor"])
@in_both
def test_types_of_tensorflow_are_not_created_from_a_file(
    kind: str, mark: str, saved: Path, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        value = {"module": "keras.layers", "class_name": mark, "config": [], "spec_name": "Dense"}
        config["layers"][1]["config"]["activation"] = value

    path = with_config(saved, tmp_path, kind, configured(change))
    assert refused(path, UntrustedModel)


def test_the_training_configuration_is_not_checked(tmp_path: Path) -> None:
    """The loss is neither registered nor needed: the file is loaded to predict."""
    model = plain()
    model.compile("adam", lambda truth, guess: guess - truth)
    path = tmp_path / "trained.keras"
    model.save(path)
    assert not load_file(path, trust=False).compiled


@in_both
def test_common_arguments_are_let_through(kind: str, tmp_path: Path) -> None:
    def layers(x: Any) -> Any:
        x = keras.layers.Conv2D(
            4,
            3,
            kernel_initializer=keras.initializers.HeNormal(),
            kernel_regularizer=keras.regularizers.L2(0.1),
            kernel_constraint=keras.constraints.MaxNorm(3.0),
            activation=keras.activations.gelu,
        )(x)
        x = keras.layers.Activation(keras.ops.relu6)(x) if kind == ".keras" else x
        return keras.layers.Bidirectional(keras.layers.LSTM(2))(keras.layers.Reshape((4, 4))(x))

    path = tmp_path / f"common{kind}"
    model = with_layer(layers)
    model.save(path)
    np.testing.assert_allclose(
        np.asarray(load_file(path, trust=False)(ONES)), np.asarray(model(ONES)), atol=1e-6
    )


def outside(folder: Path, how: str, file: h5py.File, name: str) -> None:
    """Let a dataset's values come from another file, in one of HDF5's three ways."""
    shape = file[name].shape
    del file[name]
    other = folder / "other.h5"
    with h5py.File(other, "w") as target:
        target["x"] = np.ones(shape, np.float32)
    if how == "external storage":
        file.create_dataset(name, shape, "float32", external=[(str(other), 0, 4096)])
    elif how == "external link":
        file[name] = h5py.ExternalLink(str(other), "x")
    else:
        layout = h5py.VirtualLayout(shape, "float32")
        layout[:] = h5py.VirtualSource(str(other), "x", shape)
        file.create_virtual_dataset(name, layout)


@in_both
@pytest.mark.parametrize("how", ["external storage", "external link", "virtual dataset"])
def test_weights_in_another_file_are_not_read(
    how: str, kind: str, saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"forged{kind}"
    weights = path if kind == ".h5" else tmp_path / "model.weights.h5"
    if kind == ".h5":
        shutil.copy(saved / "plain.h5", path)
    else:
        with zipfile.ZipFile(saved / "plain.keras") as whole:
            whole.extract("model.weights.h5", tmp_path)
    with h5py.File(weights, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
        outside(tmp_path, how, file, next(name for name in found if "conv" in name))
    if kind == ".keras":
        with zipfile.ZipFile(saved / "plain.keras") as whole, zipfile.ZipFile(path, "w") as forged:
            for name in whole.namelist():
                own = weights.read_bytes() if name == weights.name else whole.read(name)
                forged.writestr(name, own)
    assert "Not allowed: H5 file with" in str(refused(path, UnreadableModel))
