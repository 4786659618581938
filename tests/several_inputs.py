"""Models of several inputs, samples for them, and what Keras gives for these."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from support import keras_answers, randomise

from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Custom
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images


def encoder(channels: int, name: str) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((None, None, channels)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ],
        name=name,
    )


def joined() -> keras.Model:
    """Build a model of two colour images through one encoder, a depth map, numbers and ids."""
    left, right = (keras.Input((16, 20, 3), name=name) for name in ("left", "right"))
    depth = keras.Input((12, 12, 1), name="depth")
    numbers = keras.Input((3,), name="numbers")
    word = keras.Input((2,), dtype="int32", name="word")
    shared = encoder(3, "shared")
    parts = [
        *(shared(left), shared(right), encoder(1, "deep")(depth), layers.Dense(2)(numbers)),
        layers.Flatten()(layers.Embedding(7, 2)(word)),
    ]
    scores = layers.Dense(4, activation="softmax", name="scores")(layers.Concatenate()(parts))
    return randomise(keras.Model([left, right, depth, numbers, word], scores, name="joined"))


MODES = {"left": "tf", "right": "tf", "depth": Custom(scale=(1 / 100,), mean=(1.0,))}
GIVEN = {"*": ImageInput(), "right": ImageInput(format="nv12", resize="bilinear", crop="center")}


NUMBERS = {"numbers": np.asarray([0.5, -1, 2], np.float32), "word": np.asarray([6, 1], np.int32)}


def images(seed: int) -> dict[str, Any]:
    """Draw the images of one sample, uint8, in sizes of their own."""
    sizes = {"left": (16, 20, 3), "right": (37, 30, 3), "depth": (25, 19, 1)}
    return {name: draw_images(1, *size, seed=seed)[0] for name, size in sizes.items()}


def of_keras(model: keras.Model, raw: dict[str, Any]) -> Any:
    """Return what Keras gives for arrays as the bundle takes them."""
    sizes = {"left": (16, 20, 3), "right": (16, 20, 3), "depth": (12, 12, 1)}
    inputs = []
    for name, array in raw.items():
        if name in sizes:
            *size, channels = sizes[name]
            pixels = GIVEN.get(name, GIVEN["*"]).of_channels(channels)
            inputs.append(prepare(decode(array, pixels, tuple(size), channels), MODES[name]))
        else:
            inputs.append(array)
    return keras_answers(model, inputs)[0]


def two_images(first: Any = None) -> keras.Model:
    left, right = (keras.Input((10, 10, 3), name=name) for name in ("left", "right"))
    both = [left, right] if first is None else first(left, right)
    joined = layers.Conv2D(2, 3)(layers.Concatenate()(both))
    return randomise(keras.Model([left, right], layers.GlobalAveragePooling2D()(joined)))
