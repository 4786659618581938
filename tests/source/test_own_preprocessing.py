"""Preprocessing inside a model is found, and what is none is not taken for it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from kexport.source.own_preprocessing import FirstSteps, first_steps

Steps = Callable[[Any], Any]


def model_of(steps: Steps, shape: tuple[int | None, ...] = (16, 16, 3)) -> keras.Model:
    x = keras.Input(shape)
    y = layers.Conv2D(4, 3, name="conv")(steps(x))
    return keras.Model(x, layers.GlobalAveragePooling2D()(y))


def adapted(images: np.ndarray) -> layers.Normalization:
    layer = layers.Normalization(name="norm")
    layer.adapt(images)
    return layer


BYTES = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)


def augmented(x: Any) -> Any:
    inner = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomContrast(0.2),
            layers.GaussianNoise(0.1),
        ]
    )
    return inner(layers.Resizing(12, 20)(x))


def inner_of(steps: Steps) -> Steps:
    def call(x: Any) -> Any:
        inside = keras.Input(x.shape[1:])
        return keras.Model(inside, layers.Conv2D(3, 1, name="inner")(steps(inside)))(x)

    return call


class Halved(layers.Layer):
    def call(self, x: Any) -> Any:
        return x / 128.0


PREPROCESS: dict[str, tuple[Steps, str]] = {
    "rescaling": (layers.Rescaling(1 / 127.5, offset=-1, name="first"), "first"),
    "normalization": (adapted(BYTES), "norm"),
    "division": (lambda x: x / 255.0, "true_divide"),
    "caffe": (
        lambda x: keras.applications.resnet50.preprocess_input(x),
        "add",
    ),
    "tf": (lambda x: keras.applications.mobilenet_v2.preprocess_input(x), "true_divide"),
    "lambda": (layers.Lambda(lambda x: x / 255.0, name="first"), "first"),
    "own layer": (Halved(name="first"), "first"),
    "behind augmentation": (lambda x: layers.Rescaling(1 / 255, name="r")(augmented(x)), "r"),
    "inside": (inner_of(layers.Rescaling(1 / 255, name="r")), "r"),
    "inside, behind padding": (
        inner_of(lambda x: layers.Rescaling(1 / 255, name="r")(layers.ZeroPadding2D(2)(x))),
        "r",
    ),
    "behind an inner model": (
        lambda x: layers.Rescaling(1 / 255, name="r")(keras.Sequential([layers.RandomFlip()])(x)),
        "r",
    ),
}


@pytest.mark.parametrize("name", PREPROCESS)
def test_preprocessing_is_found(name: str) -> None:
    steps, layer = PREPROCESS[name]
    (found,) = first_steps(model_of(steps)).preprocessing
    assert found.startswith(layer)


TAKEN_AS_IT_IS: dict[str, tuple[Steps, str]] = {
    "nothing": (lambda x: x, "conv"),
    "augmentation": (augmented, "conv"),
    "an inner model": (inner_of(lambda x: x), "inner"),
    "batch normalization": (layers.BatchNormalization(name="bn"), "bn"),
    "another range": (layers.Rescaling(2.0, offset=-1, name="wider"), "wider"),
    "a normalization of 0..1": (adapted(BYTES / 255), "norm"),
}


@pytest.mark.parametrize("name", TAKEN_AS_IT_IS)
def test_other_first_steps_are_none(name: str) -> None:
    steps, layer = TAKEN_AS_IT_IS[name]
    assert first_steps(model_of(steps)) == FirstSteps((), (layer,))


def test_one_of_two_branches_is_enough() -> None:
    def both(x: Any) -> Any:
        return layers.Concatenate(name="joined")([layers.Rescaling(1 / 255, name="r")(x), x])

    assert first_steps(model_of(both)) == FirstSteps(("r",), ("joined",))


def test_open_sizes_and_sequential_models() -> None:
    assert first_steps(model_of(lambda x: x / 255.0, (None, None, 3))).preprocessing
    inside = [layers.Rescaling(1 / 255, name="r"), layers.Conv2D(2, 3)]
    assert first_steps(keras.Sequential([keras.Input((8, 8, 1)), *inside])) == FirstSteps(("r",))


def test_a_subclassed_model_is_judged_by_its_layers() -> None:
    class Own(keras.Model):
        def __init__(self, *inside: Any) -> None:
            super().__init__(name="own")
            self.inside = list(inside)

        def call(self, x: Any) -> Any:
            for layer in self.inside:
                x = layer(x)
            return x

    with_one = Own(layers.Rescaling(1 / 255, name="r"), layers.Conv2D(2, 3))
    without = Own(layers.Conv2D(2, 3))
    for model in (with_one, without):
        model(BYTES)
    assert first_steps(with_one) == FirstSteps(("r",))
    assert first_steps(without) == FirstSteps((), ("own",))


def test_images_that_are_joined_first() -> None:
    a, b, c = (keras.Input((8, 8, 3)) for _ in range(3))
    y = layers.Rescaling(1 / 255, name="r")(layers.Concatenate()([a, b]))
    model = keras.Model([a, b, c], [y, layers.Conv2D(2, 3, name="conv")(c)])
    assert first_steps(model, 0) == first_steps(model, 1) == FirstSteps(("r",))
    assert first_steps(model, 2) == FirstSteps((), ("conv",))


def test_an_image_joined_with_one_that_is_preprocessed() -> None:
    a, b = (keras.Input((8, 8, 3)) for _ in range(2))
    y = layers.Subtract(name="minus")([layers.Rescaling(1 / 255, name="r")(a), b])
    model = keras.Model([a, b], y)
    assert first_steps(model, 0) == FirstSteps(("r",))
    assert first_steps(model, 1) == FirstSteps((), ("minus",))
