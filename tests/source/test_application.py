"""Building Applications: the arguments, and where the weights come from."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexport.errors import BadArgument, KexportError, UnsupportedModel, WeightsUnavailable
from kexport.options.application import Recipe
from kexport.source.application import build
from kexport.source.preprocessing import prepare
from kexport.source.synthetic_images import draw_images
from kexport.zoo import ZOO

SMALL = ZOO["mobilenet_v2"]
SHAPE = (32, 32, 3)


def refused(error: type[KexportError], name: str = "mobilenet_v2", **said: Any) -> KexportError:
    with pytest.raises(error) as raised:
        build(ZOO[name], Recipe(**said))
    assert type(raised.value) is error
    assert raised.value.hint
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.fixture
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        pytest.fail("the model was built")

    monkeypatch.setattr(keras.applications, SMALL.builder, stop)


@pytest.mark.parametrize(
    ("error", "said", "told"),
    [
        (UnsupportedModel, {"input_shape": (31, 64, 3)}, "at least 32x32, not 31x64"),
        (UnsupportedModel, {"input_shape": (64, 64, 1)}, "3 channels, not 1"),
        (UnsupportedModel, {"input_shape": (64, 64, 4), "weights": "random"}, "not 4"),
        (BadArgument, {"input_shape": (64, 64)}, "height, width and channels"),
        (BadArgument, {"pooling": "avg"}, "pooling applies to a model without its classifier"),
        (BadArgument, {"include_top": False, "pooling": "sum"}, "no pooling is named 'sum'"),
        (BadArgument, {"include_top": False, "classes": 5}, "has no classes"),
        (BadArgument, {"include_top": False, "activation": None}, "has no activation"),
        (BadArgument, {"classes": 5}, "1000 classes, not 5"),
        (BadArgument, {"classes": 0, "weights": "random"}, "0 classes"),
        (BadArgument, {"activation": "relu"}, "not 'relu'"),
        (WeightsUnavailable, {"weights": "nowhere.h5"}, "no weights file nowhere.h5"),
        (WeightsUnavailable, {"weights": "."}, "no weights file ."),
        (BadArgument, {"minimalistic": True}, "mobilenet_v2 has no argument minimalistic"),
        (BadArgument, {"depth_multiplier": 2}, "has no argument depth_multiplier"),
        (BadArgument, {"include_preprocessing": False}, "no argument include_preprocessing"),
        (BadArgument, {"alpha": 0.6}, "no ImageNet weights for mobilenet_v2 of alpha 0.6"),
        (BadArgument, {"alpha": 0.0, "weights": None}, "alpha` must be positive, not 0"),
        (BadArgument, {"input_shape": (224, 192, 3)}, "or 224x224, not 224x192"),
        (BadArgument, {"preprocess": "caffe"}, "preprocessing of its own, tf: x / 127.5"),
    ],
)
@pytest.mark.usefixtures("nothing_is_built")
def test_contradictory_arguments_are_refused_before_building(
    error: type[KexportError], said: dict[str, Any], told: str
) -> None:
    assert told in str(refused(error, **said))


@pytest.mark.parametrize(
    ("name", "said", "told", "hint"),
    [
        (
            "mobilenet",
            {"depth_multiplier": 2},
            "for depth multiplier 2",
            "`recipe.weights='random'`",
        ),
        (
            "mobilenet_v3_large",
            {"minimalistic": True, "alpha": 0.75},
            "for a minimalistic mobilenet_v3_large of alpha 0.75",
            "choose from 1",
        ),
        ("vgg16", {"alpha": 0.5}, "vgg16 has no argument alpha", "leave out `recipe.alpha`"),
        (
            "mobilenet",
            {"minimalistic": True},
            "no argument",
            "it takes `recipe.alpha`, `recipe.depth_mul",
        ),
        ("inception_v3", {"input_shape": (74, 299, 3)}, "at least 75x75, not 74x299", "larger"),
        (
            "inception_v3",
            {"input_shape": (224, 224, 3)},
            "of 299x299, not 224x224",
            "recipe.include_top=False",
        ),
        ("convnext_tiny", {"preprocess": "tf"}, "as layers", "recipe.include_preprocessing=False"),
    ],
)
def test_arguments_that_one_architecture_lacks_are_refused(
    name: str,
    said: dict[str, Any],
    told: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(keras.applications, ZOO[name].builder)
    with pytest.raises(KexportError) as raised:
        build(ZOO[name], Recipe(**said))
    assert told in str(raised.value)
    assert hint in (raised.value.hint or "")


@pytest.mark.slow
def test_gray_images_need_a_preprocessing_without_colors() -> None:
    grey = (32, 32, 1)
    model = build(SMALL, Recipe(weights="random", input_shape=grey))
    assert model.input_shape == (None, *grey)
    assert "3 channels" in str(
        refused(UnsupportedModel, "vgg16", weights="random", input_shape=grey)
    )


@pytest.fixture
def channels_first() -> Iterator[None]:
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.slow
@pytest.mark.usefixtures("channels_first")
def test_keras_data_format_decides_the_layout() -> None:
    recipe = Recipe(weights="random", input_shape=(48, 32, 3), classes=3)
    model = build(SMALL, recipe)
    assert model.input_shape == (None, 3, 48, 32)
    assert model.get_layer("Conv1").data_format == "channels_first"
    assert keras.config.image_data_format() == "channels_first"
    keras.config.set_image_data_format("channels_last")
    twin = build(SMALL, recipe)
    assert all(map(np.array_equal, model.get_weights(), twin.get_weights()))


@pytest.mark.usefixtures("channels_first")
def test_convnext_only_takes_channels_last() -> None:
    error = refused(UnsupportedModel, "convnext_tiny", weights="random")
    assert "takes channels last" in str(error)


FURTHER = [
    ("mobilenet", {"alpha": 0.25, "depth_multiplier": 2}),
    ("mobilenet_v2", {"alpha": 0.35}),
    ("mobilenet_v3_small", {"alpha": 0.75, "minimalistic": True}),
    ("mobilenet_v3_small", {"include_preprocessing": False}),
    ("efficientnet_v2_b0", {"include_preprocessing": False}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), FURTHER)
def test_arguments_that_not_all_have_reach_keras(
    name: str, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexport.source.application.randomise", lambda *_: None)
    wanted = getattr(keras.applications, ZOO[name].builder)(
        weights=None, input_shape=SHAPE, classes=4, **said
    )
    model = build(ZOO[name], Recipe(weights=None, input_shape=SHAPE, classes=4, **said))
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in wanted.layers]
    assert [w.shape for w in model.weights] == [w.shape for w in wanted.weights]
    plain = getattr(keras.applications, ZOO[name].builder)(
        weights=None, input_shape=SHAPE, classes=4
    )
    assert (len(plain.layers), plain.count_params()) != (len(model.layers), model.count_params())


def test_an_activation_may_be_a_function() -> None:
    recipe = Recipe(weights=None, input_shape=SHAPE, classes=3, activation=keras.ops.sigmoid)
    assert build(SMALL, recipe).layers[-1].activation is keras.ops.sigmoid


def test_a_refusal_of_keras_is_one_line() -> None:
    said: dict[str, Any] = {"weights": "random", "input_shape": SHAPE, "activation": "nonsense"}
    error = refused(UnsupportedModel, **said)
    assert str(error).startswith("Keras cannot build MobileNetV2: Could not interpret activation")


@pytest.mark.slow
def test_the_arguments_reach_keras() -> None:
    recipe = Recipe(weights="random", input_shape=(48, 32, 3), classes=7, activation="sigmoid")
    model = build(SMALL, recipe)
    assert (model.input_shape, model.output_shape) == ((None, 48, 32, 3), (None, 7))
    assert model.layers[-1].activation is keras.activations.sigmoid
    bare = Recipe(weights="random", input_shape=SHAPE, include_top=False, pooling="max")
    assert isinstance(build(SMALL, bare).layers[-1], keras.layers.GlobalMaxPooling2D)


@pytest.mark.slow
def test_without_arguments_the_size_is_fixed() -> None:
    model = build(ZOO["mobilenet_v3_small"], Recipe(weights="random", include_top=False))
    assert model.input_shape == (None, 224, 224, 3)


@pytest.mark.slow
def test_random_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> list[np.ndarray[Any, Any]]:
        return build(SMALL, Recipe(weights="random", input_shape=SHAPE, seed=seed)).get_weights()

    first, again, other = weights(0), weights(0), weights(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    """Save one model's weights in the three formats that Keras writes; return folder and model."""
    folder = tmp_path_factory.mktemp("trained")
    model = build(SMALL, Recipe(weights="random", input_shape=SHAPE, classes=5))
    model.save_weights(folder / "own.weights.h5")
    model.save(folder / "own.h5")
    model.save(folder / "own.keras")
    return folder, model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5", "own.keras"])
def test_weights_come_from_a_file(name: str, trained: tuple[Path, keras.Model]) -> None:
    folder, model = trained
    recipe = Recipe(weights=str(folder / name), input_shape=SHAPE, classes=5)
    loaded = build(SMALL, recipe).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(loaded, model.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_weights_that_do_not_fit_name_the_file(
    name: str, trained: tuple[Path, keras.Model]
) -> None:
    file = str(trained[0] / name)
    error = refused(WeightsUnavailable, weights=file, input_shape=SHAPE, classes=6)
    assert str(error).startswith(f"{file} does not fit")


def test_a_damaged_weights_file(trained: tuple[Path, keras.Model], tmp_path: Path) -> None:
    file = tmp_path / "cut.weights.h5"
    file.write_bytes((trained[0] / "own.weights.h5").read_bytes()[:5000])
    assert str(file) in str(refused(WeightsUnavailable, weights=str(file), input_shape=SHAPE))


@pytest.mark.slow
def test_imagenet_weights_of_efficientnet_given_by_path_see_the_same_images(
    tmp_path: Path,
) -> None:
    """As Keras' download: its variance is a deviation, and a Rescaling layer makes up for it."""
    file = tmp_path / "efficientnetb0_notop.weights.h5"
    published = build(ZOO["efficientnet_b0"], Recipe(weights="random", input_shape=SHAPE))
    norm = normalization(published)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    norm.adapt_mean.assign([0.485, 0.456, 0.406])
    norm.adapt_variance.assign(deviation)
    published.save_weights(file)
    model = build(ZOO["efficientnet_b0"], Recipe(weights=str(file), input_shape=SHAPE))
    images = draw_images(2, 32, 32)
    seen = keras.Model(model.input, normalization(model).output)(images.astype(np.float32))
    np.testing.assert_allclose(np.asarray(seen), prepare(images, "torch"), atol=1e-5)


def normalization(model: keras.Model) -> Any:
    return next(one for one in model.layers if isinstance(one, keras.layers.Normalization))


@pytest.fixture
def nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    yield
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.usefixtures("nothing_in_the_cache")
@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError(socket.gaierror(-2, "Name or service not known")),
        urllib.error.HTTPError("https://example.org", 403, "Forbidden", None, None),  # type: ignore[arg-type]
        TimeoutError("timed out"),
        ConnectionResetError("reset by peer"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_without_a_network_the_hint_names_two_alternatives(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float | None] = []

    def fail(*_: object, **__: object) -> None:
        waited.append(socket.getdefaulttimeout())
        raise failure

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    before = socket.getdefaulttimeout()
    error = refused(WeightsUnavailable)
    assert "the ImageNet weights of mobilenet_v2 cannot be downloaded" in str(error)
    assert "`recipe.weights=PATH`" in (error.hint or "")
    assert "`recipe.weights='random'`" in (error.hint or "")
    assert waited == [15.0]
    assert socket.getdefaulttimeout() == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])  # without, and with a hash
def test_a_download_that_arrives_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbage(_: str, target: str, *__: object) -> None:
        Path(target).write_bytes(b"<html>sign in to the hotel's network</html>")

    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", garbage)
    error = refused(WeightsUnavailable, name)
    assert f"the ImageNet weights of {name} arrived damaged" in str(error)
    assert "~/.keras/models" in (error.hint or "")
