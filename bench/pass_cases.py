"""Models of the ablation of passes: Applications, and typical custom models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import models

from kexport import zoo
from kexport.options.image_input import ImageInput

RGB = ImageInput("rgb")


@dataclass(frozen=True, slots=True)
class Case:
    """A Keras model, and the preprocessing and image format in its graph."""

    model: Callable[[], Any]
    size: int
    mode: str
    pixels: ImageInput = RGB


def application(name: str, pixels: ImageInput = RGB) -> Case:
    """Return the case of an Application at its default size."""
    row = zoo.find(name)
    return Case(partial(models.build, row), row.size, row.mode, pixels)


def flattened() -> Any:
    """Build convolutions and a Dense layer over all their pixels, as in VGG."""
    import keras

    image = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(image)
    x = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))


def attention() -> Any:
    """Build convolutions, then attention and a GRU over their pixels, which tf2onnx converts."""
    import keras

    image = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(32, 8, strides=8)(image)
    x = keras.layers.LayerNormalization()(keras.layers.Reshape((64, 32))(x))
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(4, 8)(x, x)])
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.GRU(16)(x)))


def twice() -> Any:
    """Build a model that calls the same branch twice on the same image."""
    import keras

    image = keras.Input((64, 64, 3))
    branch = keras.Sequential([keras.layers.Conv2D(32, 3), keras.layers.ReLU()])
    both = keras.layers.Concatenate()([branch(image), branch(image)])
    pooled = keras.layers.GlobalAveragePooling2D()(both)
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.Dropout(0.5)(pooled)))


CASES = {
    "mobilenet_v3_small": application("mobilenet_v3_small"),
    "densenet121": application("densenet121"),
    "efficientnet_b0": application("efficientnet_b0"),
    "mobilenet_v2 in grey": application("mobilenet_v2", ImageInput(format="gray")),
    "flattened": Case(flattened, 64, "tf"),
    "attention": Case(attention, 64, "tf"),
    "branch twice": Case(twice, 64, "tf"),
}
