"""Half precision, channels first and other backends: each against the backend's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cpp_verifiers import Export
from keras import layers
from support import keras_answers, normal, randomise, small_classifier

from kexport import runtime
from kexport.api import export
from kexport.errors import UnsupportedModel
from kexport.options.application import Recipe
from kexport.source.clone import channels_last, in_float32, with_image_input

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Iterator[None]:
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_file_of_another_backend_answers_as_that_backend_did(
    export_and_verify: Export, backend: str, tmp_path: Path
) -> None:
    """The one of torch has channels first, which TensorFlow cannot compute on a CPU."""
    bundle = export_and_verify(
        FIXTURES / f"{backend}.keras",
        "cpu-fp32",
        output=tmp_path / "b",
        recipe=Recipe(preprocess="none"),
    )
    assert bundle.manifest["inputs"][0]["shape"] == [1, 16, 16, 3]
    golden = np.load(FIXTURES / f"{backend}.npz")
    (given,) = runtime.load(bundle.path).run(golden["images"]).values()
    np.testing.assert_allclose(given, golden["answers"], atol=1e-6)
    assert runtime.verify(bundle.path).passed


def test_channels_first_is_computed_with_channels_last() -> None:
    first = keras.saving.load_model(FIXTURES / "torch.keras")
    golden = np.load(FIXTURES / "torch.npz")
    x = np.moveaxis(golden["images"], -1, 1).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(channels_last(first)(x)), golden["answers"], rtol=1e-5, atol=1e-7
    )
    image = channels_last(with_image_input(first))
    given = image(golden["images"].astype(np.float32))
    np.testing.assert_allclose(np.asarray(given), golden["answers"], rtol=1e-5, atol=1e-7)


def test_features_of_a_channels_first_application_keep_their_layout(
    export_and_verify: Export, tmp_path: Path
) -> None:
    recipe = Recipe(weights="random", input_shape=(32, 32, 3), include_top=False, alpha=0.35)
    last = export_and_verify("mobilenet_v2", "cpu-fp32", output=tmp_path / "last", recipe=recipe)
    keras.config.set_image_data_format("channels_first")
    try:
        first = export_and_verify(
            "mobilenet_v2", "cpu-fp32", output=tmp_path / "first", recipe=recipe
        )
    finally:
        keras.config.set_image_data_format("channels_last")
    assert first.manifest["inputs"] == last.manifest["inputs"]
    assert first.manifest["outputs"][0]["shape"] == [1, 1280, 1, 1]
    images = np.load(last.path / "golden.npz")["image"]
    given = runtime.load(first.path).run(images, fill=True)["features"]
    wanted = runtime.load(last.path).run(images, fill=True)["features"]
    np.testing.assert_allclose(given, np.moveaxis(wanted, -1, 1), atol=1e-4 * wanted.std())


def test_models_that_need_no_clone_are_returned_as_they_are() -> None:
    model = small_classifier()
    assert channels_last(model) is in_float32(model) is with_image_input(model) is model


class Subclassed(keras.Model):
    def __init__(self, **said: Any) -> None:
        super().__init__()
        self.conv = layers.Conv2D(2, 3, **said)

    def call(self, x: Any) -> Any:
        return self.conv(x)


def test_a_subclassed_model_with_channels_first_is_refused() -> None:
    model = Subclassed(data_format="channels_first")
    with pytest.raises(UnsupportedModel, match="puts channels first"):
        channels_last(model)


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16"]


def half_model() -> keras.Model:
    x = keras.Input((16, 16, 3), name="x")
    inside = keras.Sequential([layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization()])
    y = layers.TimeDistributed(layers.Dense(4))(layers.Reshape((16, -1))(inside(x)))
    y = layers.GlobalAveragePooling1D()(keras.ops.relu(y))
    return randomise(keras.Model(x, layers.Dense(5, activation="softmax", dtype="float32")(y)))


@pytest.mark.parametrize("policy", POLICIES, indirect=True)
@pytest.mark.usefixtures("policy")
def test_half_precision_is_exported_in_float32(
    export_and_verify: Export, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Held to 1e-4 of the same weights in float32, and to what rounding leaves of the model."""
    model = half_model()
    bundle = export_and_verify(
        model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none")
    )
    assert bundle.manifest["parity"]["outputs"]["logits"]["error"] <= 1e-4
    golden = np.load(bundle.path / "golden.npz")
    itself = np.asarray(model.predict(golden["image"].astype(np.float32), verbose=0))
    steps = 2**-8 if "bfloat16" in request.node.name else 2**-11
    np.testing.assert_allclose(golden["probabilities"], itself, rtol=0, atol=64 * steps)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.usefixtures("policy")
def test_the_users_model_stays_as_it_was() -> None:
    model = half_model()
    before = keras_answers(model, [normal(1, 16, 16, 3)])
    twin = in_float32(model)
    computing = [
        layer
        for layer in twin._flatten_layers(include_self=False)
        if not isinstance(layer, layers.InputLayer)
    ]
    assert {layer.compute_dtype for layer in computing} == {"float32"}
    assert "float16" in {layer.compute_dtype for layer in model.layers}
    np.testing.assert_array_equal(keras_answers(model, [normal(1, 16, 16, 3)])[0], before[0])


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.usefixtures("policy")
def test_a_subclassed_model_in_half_precision_is_refused(tmp_path: Path) -> None:
    model = Subclassed()
    model(normal(1, 8, 8, 3))
    with pytest.raises(UnsupportedModel, match="computes in half precision"):
        export(model, "cpu-fp32", output=tmp_path / "b", recipe=Recipe(preprocess="none"))
    assert not list(tmp_path.iterdir())


class NoTwin(layers.Layer):
    def __init__(self, factor: float) -> None:
        super().__init__(name="odd")
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.usefixtures("policy")
def test_a_layer_without_a_configuration_cannot_be_cloned() -> None:
    x = keras.Input((4,))
    with pytest.raises(UnsupportedModel, match="layer 'odd' computes in half precision"):
        in_float32(keras.Model(x, NoTwin(2.0)(x)))
