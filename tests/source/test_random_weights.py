"""Random weights: answers differ between images, and every process draws the same."""

import hashlib
import subprocess
import sys
import weakref
from typing import Any

import keras
import numpy as np
import pytest

from kexport.source.preprocessing import prepare
from kexport.source.random_values import OPENING
from kexport.source.random_weights import LOGITS_DEVIATION, randomise
from kexport.source.synthetic_images import draw_images

Array = np.ndarray[Any, Any]


def mobilenet() -> keras.Model:
    """Build an Application with weights drawn on eight images; its layers have fixed names."""
    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3))
    randomise(model, 0, prepare(draw_images(8, 64, 64), "tf"))
    return model


def nameless() -> keras.Model:
    """Build a model whose layers Keras names by counting them."""
    x = image = keras.Input((8, 8, 3))
    for _ in range(3):
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, padding="same")(x))
        x = keras.layers.ReLU()(x)
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    randomise(model, 0, prepare(draw_images(8, 8, 8), "tf"))
    return model


def digest(model: keras.Model) -> str:
    values = hashlib.sha256()
    for weight in model.get_weights():
        values.update(weight.tobytes())
    return values.hexdigest()


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    """Also where Keras has counted the names of layers up before."""
    program = (
        "import keras; keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization()\n"
        "from test_random_weights import digest, mobilenet, nameless\n"
        "print(digest(mobilenet()), digest(nameless()))"
    )
    folder = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [digest(mobilenet()), digest(nameless())]


def small() -> tuple[keras.Model, Array]:
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    x = keras.layers.Dense(10, activation="softmax", name="top")(x)
    return keras.Model(image, x), np.random.default_rng(0).normal(5, 3, (16, 12, 12, 3))


def test_batch_norm_holds_the_statistics_of_its_input() -> None:
    model, images = small()
    randomise(model, 0, images)
    reaching = np.asarray(keras.Model(model.input, model.get_layer("conv").output)(images))
    norm = model.get_layer("norm")
    np.testing.assert_allclose(norm.moving_mean, reaching.mean((0, 1, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, reaching.var((0, 1, 2)), rtol=1e-4)


def test_biases_open_activations_and_the_last_layer_is_scaled() -> None:
    model, images = small()
    randomise(model, 0, images)
    top, hidden = model.get_layer("top"), model.get_layer("hidden")
    for layer in (top, hidden):
        layer.activation = keras.activations.linear
    before = np.asarray(keras.Model(model.input, hidden.output)(images))
    assert before.mean() / before.std(axis=0).mean() == pytest.approx(OPENING, rel=0.3)
    hidden.activation = keras.activations.relu
    logits = np.asarray(model(images))
    assert np.sqrt(logits.var(axis=0).mean()) == pytest.approx(LOGITS_DEVIATION, rel=1e-3)


def test_the_activation_is_left_as_it_was() -> None:
    model, images = small()
    randomise(model, 0, images)
    assert model.get_layer("top").activation is keras.activations.softmax
    np.testing.assert_allclose(np.asarray(model(images)).sum(axis=-1), 1, rtol=1e-5)


def test_another_seed_gives_other_weights() -> None:
    digests = []
    for seed in (0, 0, 1):
        model, images = small()
        randomise(model, seed, images)
        digests.append(digest(model))
    assert digests[0] == digests[1] != digests[2]


def test_nested_and_sequential_models_are_walked() -> None:
    inner = keras.Sequential(
        [keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    )
    body = keras.Model(inner.inputs, keras.layers.ReLU()(inner.outputs[0]))
    model = keras.Sequential([body, keras.layers.Flatten(), keras.layers.Dense(5)])
    images = np.random.default_rng(0).normal(5, 3, (8, 12, 12, 3)).astype(np.float32)
    randomise(model, 0, images)
    reaching = np.asarray(inner.layers[0](images))
    np.testing.assert_allclose(inner.layers[1].moving_mean, reaching.mean((0, 1, 2)), atol=1e-4)
    assert np.asarray(model(images)).std(axis=0).mean() == pytest.approx(LOGITS_DEVIATION, rel=0.2)


def test_several_inputs_come_in_the_models_order() -> None:
    left, right = keras.Input((4,)), keras.Input((6,))
    both = keras.layers.Concatenate()([keras.layers.Dense(8)(left), keras.layers.Dense(8)(right)])
    model = keras.Model([left, right], keras.layers.Dense(3)(both))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(16, 4)), rng.normal(size=(16, 6))]
    randomise(model, 0, arrays)
    assert np.asarray(model(arrays)).std() == pytest.approx(LOGITS_DEVIATION, rel=0.2)


def test_a_subclassed_model_is_drawn_without_data() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3)
            self.norm = keras.layers.BatchNormalization()

        def call(self, inputs: Any) -> Any:
            return self.norm(self.conv(inputs))

    model, images = Own(), np.zeros((2, 8, 8, 3), np.float32)
    model(images)
    randomise(model, 0, images)
    for weight in model.weights:
        assert np.asarray(weight).std() > 0.01, weight.path


def test_kernels_keep_the_deviation_of_what_they_sum() -> None:
    kernels = {
        "kernel of Conv2D": (keras.layers.Conv2D(64, 3, groups=4), 9 * 8),
        "kernel of Conv2DTranspose": (keras.layers.Conv2DTranspose(64, 4, strides=2), 4 * 32),
        "kernel of DepthwiseConv2D": (keras.layers.DepthwiseConv2D(5), 25),
        "pointwise_kernel of SeparableConv2D": (keras.layers.SeparableConv2D(64, 3), 32),
        "depthwise_kernel of SeparableConv2D": (keras.layers.SeparableConv2D(64, 3), 9),
    }
    for what, (layer, fan_in) in kernels.items():
        image = keras.Input((8, 8, 32))
        model = keras.Model(image, keras.layers.ReLU()(layer(image)))
        randomise(model, 0, np.zeros((1, 8, 8, 32)))
        kernel = np.asarray(getattr(layer, what.split()[0]))
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.25), what


@pytest.mark.slow
def test_efficientnet_normalizes_with_the_statistics_of_imagenet() -> None:
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3))
    images = draw_images(4, 32, 32).astype(np.float32)
    randomise(model, 0, images)
    layer = next(one for one in model.layers if isinstance(one, keras.layers.Normalization))
    normalised = np.asarray(keras.Model(model.input, layer.output)(images))
    expected = prepare(images.astype(np.uint8), "torch")
    np.testing.assert_allclose(normalised, expected, atol=1e-5)
    assert int(np.asarray(layer.count)) == 0


class Probe(keras.layers.Layer):
    """Counts how many of the tensors that any probe has seen are still alive."""

    seen: list[weakref.ref[Any]]
    most: list[int]

    def call(self, inputs: Any) -> Any:
        self.seen.append(weakref.ref(inputs))
        self.most.append(sum(one() is not None for one in self.seen))
        return inputs + 1


def test_a_tensor_is_freed_after_its_last_use() -> None:
    Probe.seen, Probe.most = [], []
    x = image = keras.Input((4, 4, 3))
    for _ in range(20):
        x = Probe()(x)
    model = keras.Model(image, x)
    Probe.seen.clear(), Probe.most.clear()
    randomise(model, 0, np.ones((1, 4, 4, 3)))
    assert len(Probe.most) == 20
    assert max(Probe.most) <= 3
