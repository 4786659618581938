"""Opening a model: by the name of an Application, from a file, or a Keras model."""

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexport.errors import (
    BadArgument,
    KexportError,
    UnknownModel,
    UnreadableModel,
    WeightsUnavailable,
)
from kexport.options.application import Recipe
from kexport.source.labels import imagenet_labels
from kexport.source.open import open_model, weights_digest

RANDOM = Recipe(weights="random", input_shape=(32, 32, 3))


def small(name: str = "my model: 2") -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))
    return keras.Model(image, keras.layers.Dense(4)(x), name=name)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications are not built: tests/source/test_application.py sees to that."""
    monkeypatch.setattr("kexport.source.open.build", lambda *_: small())


def with_(**said: Any) -> Recipe:
    return Recipe(weights="random", **{"input_shape": (32, 32, 3), **said})


def test_an_application_by_name() -> None:
    source = open_model("MobileNet-V2", RANDOM)
    assert (source.name, source.source) == ("mobilenet_v2", "keras.applications.MobileNetV2")
    assert (source.mode, source.weights, source.kind) == ("tf", "random", "probabilities")
    assert source.labels == imagenet_labels()
    assert source.model.output_shape == (None, 1000)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(
    ("said", "kind", "labels"),
    [
        ({"activation": None}, "logits", True),
        ({"activation": keras.activations.softmax}, "probabilities", True),
        ({"activation": "sigmoid"}, None, True),
        ({"classes": 3}, "probabilities", False),
        ({"include_top": False, "pooling": "avg"}, "features", False),
    ],
)
def test_the_kind_of_the_output(said: dict[str, Any], kind: str | None, labels: bool) -> None:
    source = open_model("mobilenet_v2", with_(**said))
    assert source.kind == kind
    assert (source.labels is not None) == labels


def test_labels_are_those_of_keras() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels[0], labels[281], labels[999]) == ("tench", "tabby", "toilet_tissue")


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(
    ("name", "said", "mode"),
    [
        ("mobilenet_v3_small", {}, "none"),
        ("mobilenet_v3_small", {"include_preprocessing": False}, "tf"),
        ("convnext_tiny", {"include_preprocessing": False}, "torch"),
        ("convnext_tiny", {"include_preprocessing": False, "preprocess": "none"}, "none"),
        ("vgg16", {}, "caffe"),
    ],
)
def test_the_model_decides_the_preprocessing(name: str, said: dict[str, Any], mode: str) -> None:
    assert open_model(name, with_(**said)).mode == mode


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("said", "told"), [(None, "random"), ("a/b/own.h5", "own.h5")])
def test_weights_are_named_by_a_word_or_a_file(said: str | None, told: str) -> None:
    assert open_model("mobilenet_v2", Recipe(weights=said)).weights == told


@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_a_file(kind: str, tmp_path: Path) -> None:
    model, path = small(), tmp_path / f"my model (2){kind}"
    model.save(path)
    source = open_model(str(path), Recipe(preprocess="caffe"))
    assert source.name == "my_model_2_"
    assert source.source == source.weights == path.name
    assert (source.mode, source.labels, source.kind) == ("caffe", None, None)
    assert source.sha256 == weights_digest(model)
    assert open_model(path, Recipe()).mode is None


def test_a_keras_model() -> None:
    model = small()
    source = open_model(model, Recipe())
    assert source.model is model
    assert source.name == "my_model_2"
    assert source.mode is None


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ({"weights": "random"}, "`recipe.weights`"),
        ({"include_top": False}, "`recipe.include_top`"),
        ({"pooling": "avg"}, "`recipe.pooling`"),
        ({"classes": 3}, "`recipe.classes`"),
        ({"input_shape": (8, 8, 3)}, "`recipe.input_shape`"),
        ({"activation": None}, "`recipe.activation`"),
        ({"alpha": 0.5}, "`recipe.alpha`"),
        ({"minimalistic": True}, "`recipe.minimalistic`"),
        ({"depth_multiplier": 2}, "`recipe.depth_multiplier`"),
        ({"include_preprocessing": False}, "`recipe.include_preprocessing`"),
    ],
)
def test_arguments_of_applications_are_refused_for_other_models(
    said: dict[str, Any], option: str
) -> None:
    model = small()
    before = model.get_weights()
    with pytest.raises(BadArgument, match=f"{option} is an argument of Keras Applications"):
        open_model(model, Recipe(**said))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_preprocessing_that_does_not_exist() -> None:
    with pytest.raises(BadArgument, match="no preprocessing is named 'imagenet'") as raised:
        open_model(small(), Recipe(preprocess="imagenet"))  # type: ignore[arg-type]
    assert raised.value.hint == "give one of none, unit, tf, caffe, torch, auto, raw"


@pytest.mark.parametrize(
    ("model", "error", "told"),
    [
        ("inception_v4", UnknownModel, "no Keras Application named 'inception_v4'"),
        ("", UnknownModel, "no Keras Application named ''"),
        ("nowhere.keras", UnreadableModel, "there is no file nowhere.keras"),
        ("models/mine", UnreadableModel, "there is no file models/mine"),
        ("folder", UnreadableModel, "folder is a folder"),
        (Path("vgg16"), UnreadableModel, "there is no file vgg16"),
        ("mobilenet_v2", WeightsUnavailable, "no weights file gone.h5"),
    ],
)
def test_models_that_cannot_be_opened(
    model: str | Path,
    error: type[KexportError],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    recipe = Recipe(weights="gone.h5") if error is WeightsUnavailable else Recipe()
    with pytest.raises(error, match=told):
        open_model(model, recipe)


@pytest.mark.usefixtures("quickly")
def test_a_folder_named_like_an_application_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mobilenet_v2").mkdir()
    assert open_model("mobilenet_v2", RANDOM).source == "keras.applications.MobileNetV2"


def test_the_digest_is_over_every_weights_place_name_type_shape_and_bytes() -> None:
    model = small()
    expected = hashlib.sha256()
    for number, weight in enumerate(model.weights):
        array = np.asarray(weight)
        expected.update(f"{number} {weight.name} {array.dtype} {array.shape}\n".encode())
        expected.update(array.tobytes())
    assert weights_digest(model) == expected.hexdigest()


def test_the_digest_tells_the_smallest_change_and_not_the_names() -> None:
    model = small()
    before = weights_digest(model)
    twin = small("another")
    twin.set_weights(model.get_weights())
    assert weights_digest(twin) == before
    kernel = np.asarray(model.weights[0]).copy()
    kernel.flat[-1] = np.nextafter(kernel.flat[-1], np.float32(1))
    model.weights[0].assign(kernel)
    assert weights_digest(model) != before


def test_a_path_names_a_file_even_without_an_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small().save("mine.keras")
    Path("mine.keras").rename("mine")
    with pytest.raises(UnreadableModel, match=r"mine is neither a \.keras nor an \.h5 file"):
        open_model("mine", Recipe())
