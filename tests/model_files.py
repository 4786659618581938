"""Whole-model files that tests damage or forge."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from kexport.errors import KexportError
from kexport.source.saved_model import load_file

KINDS = (".keras", ".h5")
ONES = np.ones((1, 4, 4, 3), np.float32)
in_both = pytest.mark.parametrize("kind", KINDS)


def plain() -> keras.Model:
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2")(image)
    model = keras.Model(image, keras.layers.TimeDistributed(keras.layers.Dense(3))(x))
    model.compile("adam", "mse")
    return model


def with_layer(layer: Callable[[Any], Any]) -> keras.Model:
    image = keras.Input((4, 4, 3))
    return keras.Model(image, layer(image))


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the plain model in both formats, and return the folder."""
    folder = tmp_path_factory.mktemp("saved")
    model = plain()
    for kind in KINDS:
        model.save(folder / f"plain{kind}")
    np.save(folder / "expected.npy", np.asarray(model(ONES)))
    return folder


def refused(path: Path, error: type[KexportError], *, trust: bool = False) -> KexportError:
    with pytest.raises(error) as raised:
        load_file(path, trust=trust)
    assert type(raised.value) is error
    assert raised.value.hint
    assert "\n" not in str(raised.value)
    return raised.value


def with_config(saved: Path, folder: Path, kind: str, text: str) -> Path:
    """Copy the plain model's file with another configuration in it."""
    path = folder / f"forged{kind}"
    shutil.copy(saved / f"plain{kind}", path)
    if kind == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = text[:60_000]
        return path
    with zipfile.ZipFile(saved / "plain.keras") as whole, zipfile.ZipFile(path, "w") as part:
        for name in whole.namelist():
            part.writestr(name, text if name == "config.json" else whole.read(name))
    return path
