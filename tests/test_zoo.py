"""Every column of the zoo against Keras itself, so that the table cannot rot."""

import importlib
import inspect
import types
import warnings
from typing import Any

import keras
import numpy as np
import pytest

from kexport import zoo
from kexport.errors import UnknownModel
from kexport.source.preprocessing import prepare
from kexport.zoo import ZOO, Application

ROWS = [pytest.param(row, id=row.name) for row in ZOO.values()]
ANY_SIZE = [row for row in ROWS if row.id.startswith("mobilenet_v3")]
OWN_SIZE = [row for row in ROWS if row not in ANY_SIZE]
CHEAP = [row for row in ROWS if row.id in ("xception", "mobilenet_v2", "inception_v3")]
MODULES = sorted({row.module for row in ZOO.values()})
PREPROCESS_MODES = {"tf", "caffe", "torch"}


def public_builders() -> set[str]:
    return {
        name
        for name, member in vars(keras.applications).items()
        if isinstance(member, types.FunctionType)
        and "include_top" in inspect.signature(member).parameters
    }


def test_every_builder_of_keras_has_a_row() -> None:
    assert {row.builder for row in ZOO.values()} == public_builders()
    assert len(ZOO) == 40


class Asked(Exception):
    """Carries what a builder asks of Keras' own shape check, before it builds anything."""


def sizes_that_keras_uses(row: Application, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    def stop(*_: object, default_size: int, min_size: int, **__: object) -> None:
        raise Asked(default_size, min_size)

    from keras.src.applications import imagenet_utils

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", stop)
    with pytest.raises(Asked) as asked:
        getattr(keras.applications, row.builder)(weights=None)
    return asked.value.args  # type: ignore[return-value]


@pytest.mark.parametrize("row", OWN_SIZE)
def test_sizes_are_those_of_keras(row: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizes_that_keras_uses(row, monkeypatch) == (row.size, row.min_size)


@pytest.mark.parametrize("row", ANY_SIZE)
def test_mobilenet_v3_has_no_size_of_its_own_and_its_documentation_names_ours(
    row: Application,
) -> None:
    build = getattr(keras.applications, row.builder)
    assert build(weights=None).input_shape == (None, None, None, 3)
    assert f"({row.size}, {row.size}, 3)" in build.__doc__


@pytest.mark.slow
@pytest.mark.parametrize("row", CHEAP)
def test_a_model_built_without_arguments_has_the_size(row: Application) -> None:
    model = getattr(keras.applications, row.builder)(weights=None)
    assert model.input_shape == (None, row.size, row.size, 3)


@pytest.mark.parametrize("row", CHEAP + ANY_SIZE)
def test_an_image_smaller_than_min_size_is_refused_by_keras(row: Application) -> None:
    build = getattr(keras.applications, row.builder)
    shape = (row.min_size - 1, row.min_size - 1, 3)
    with pytest.raises(ValueError, match=f"at least {row.min_size}x{row.min_size}"):
        build(weights=None, include_top=False, input_shape=shape)


@pytest.mark.parametrize("row", ROWS)
def test_mode_is_what_preprocess_input_does(row: Application) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    module = importlib.import_module(f"keras.applications.{row.module}")
    got = module.preprocess_input(pixels.copy())
    modes = {
        mode: keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
        for mode in PREPROCESS_MODES
    } | {"none": pixels}
    assert [mode for mode, want in modes.items() if np.array_equal(got, want)] == [row.mode]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_inside_says_whether_the_model_begins_with_its_preprocessing(module: str) -> None:
    row = next(row for row in ZOO.values() if row.module == module)
    size = max(row.min_size, 64)
    model = getattr(keras.applications, row.builder)(weights=None, input_shape=(size, size, 3))
    first = model.layers[1]
    begins = isinstance(first, (keras.layers.Rescaling, keras.layers.Normalization))
    assert begins == row.inside
    assert not row.inside or row.mode == "none"


FURTHER = {"alpha", "minimalistic", "depth_multiplier", "include_preprocessing"}


@pytest.mark.parametrize("row", ROWS)
def test_arguments_are_those_that_the_builder_has_and_not_all_have(row: Application) -> None:
    """Dropout is left out: it does nothing at inference."""
    parameters = inspect.signature(getattr(keras.applications, row.builder)).parameters
    assert set(row.arguments) == FURTHER & parameters.keys()
    unknown = parameters.keys() - FURTHER - {"dropout", "dropout_rate", "name"}
    assert unknown == inspect.signature(keras.applications.VGG16).parameters.keys() - {"name"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_v2_b0", "convnext_tiny"])
def test_bare_is_what_the_preprocessing_layers_compute(name: str) -> None:
    row = ZOO[name]
    model = getattr(keras.applications, row.builder)(weights=None, input_shape=(64, 64, 3))
    last = max(
        number
        for number, layer in enumerate(model.layers)
        if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) and number < 3
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    inside = keras.Model(model.input, model.layers[last].output)(pixels)
    np.testing.assert_allclose(np.asarray(inside), prepare(pixels, row.bare or ""), atol=1e-5)


def test_bare_efficientnet_v2_of_the_larger_kinds_takes_what_keras_documents() -> None:
    kinds = [row for row in ZOO.values() if row.name.startswith("efficientnet_v2_")][-3:]
    assert {row.bare for row in kinds} == {"tf"}
    assert "`[-1, 1]`" in keras.applications.EfficientNetV2S.__doc__


class Downloading(Exception):
    """A builder has found nothing wrong, and wants its weights."""


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        *[({"alpha": a, "input_shape": (224, 224, 3)}, {a}) for a in (0.2, 0.25, 0.35, 0.5, 0.6)],
        *[({"alpha": a, "input_shape": (224, 224, 3)}, {a}) for a in (0.75, 1.0, 1.3, 1.4)],
        *[({"input_shape": (s, s, 3)}, {s}) for s in (64, 96, 128, 160, 192, 224, 256)],
    ],
)
@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "mobilenet_v3_small"])
def test_imagenet_weights_of_mobilenets_exist_for_these_widths_and_sizes(
    name: str, said: dict[str, Any], taken: set[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ZOO[name]
    ours = taken <= {*row.alphas} if "alpha" in said else not row.sizes or taken <= {*row.sizes}
    assert keras_takes(row, said, monkeypatch) == ours


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("name", ["inception_v3", "vgg16", "nasnet_mobile", "convnext_tiny"])
def test_imagenet_weights_of_others_fit_one_size_with_the_classifier_and_any_without(
    name: str, top: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ZOO[name]
    other = {"input_shape": (256, 256, 3), "include_top": top}
    assert row.sizes == (row.size,)
    assert keras_takes(row, other, monkeypatch) == (not top)


def keras_takes(row: Application, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether Keras would build it with ImageNet weights; it is stopped at its first layer."""

    def stop(*_: object, **__: object) -> None:
        raise Downloading

    monkeypatch.setattr(keras.layers, "Input", stop)
    monkeypatch.setattr("keras.src.layers.Input", stop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(keras.applications, row.builder)(weights="imagenet", **said)
    except Downloading:
        return True
    except ValueError:
        return False
    raise AssertionError("it was built")


@pytest.mark.parametrize(
    "spelling", ["inception_v3", "InceptionV3", "inception-v3", "INCEPTION V3", "Inception.v3"]
)
def test_any_spelling_finds_the_row(spelling: str) -> None:
    assert zoo.find(spelling) is ZOO["inception_v3"]


def test_the_builders_own_spelling_finds_every_row() -> None:
    assert all(zoo.find(row.builder) is row for row in ZOO.values())


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(UnknownModel, match="no Keras Application named 'inception_v4'") as raised:
        zoo.find("inception_v4")
    assert raised.value.hint == "did you mean 'inception_v3'?"


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(UnknownModel) as raised:
        zoo.find("zzzzzzzz")
    assert raised.value.hint == "list the names with: kexport models"
