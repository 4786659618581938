"""Preprocessing inside a model: whether its first steps change the range of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kexport.keras_graph import flatten_layers, is_graph, nodes, takes_training

WHITE = 255.0
"""The value of the image that the first steps are tried on, the largest that a pixel has."""

OPEN_SIZE = 64
"""Height and width of that image where the model leaves them open."""

LARGEST_NORMALIZED = 64.0
"""The largest value that a Normalization of images in 0..255 makes of white. White is at most some
deviations from the mean, over 10 only where images are black but for some strokes. A Normalization
that was adapted to images in 0..1 gives 255 and more."""

TOLERANCE = 1e-3
"""Of a white image, relative: an interpolation may round."""

KINDS = (keras.layers.Rescaling, keras.layers.Normalization)
"""Classes of layers that preprocess, for models whose graph Keras does not record."""


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What a model does to an image first, by the names of its layers and operations.

    `preprocessing` are those that preprocess, in the order of their calls; `others` those that take
    the image as it comes, because they have weights or cannot be run by themselves.
    """

    preprocessing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __add__(self, other: FirstSteps) -> FirstSteps:
        return FirstSteps(self.preprocessing + other.preprocessing, self.others + other.others)


def first_steps(model: keras.Model) -> FirstSteps:
    """Follow the image from the input of a model to the first steps that change its range.

    A step without weights is run on a white image. If the largest value stays 255, as after a
    resize, a crop, padding or an augmentation at inference, the search goes on behind it. If it is
    smaller, as after a Rescaling, a division or a Lambda, the step preprocesses; if it is larger,
    the step is for images in another range. A Normalization preprocesses, unless it was adapted to
    another range. Inner models are entered. Of models and layers without a graph, only the classes
    of the layers inside are known.

    Args:
        model: a built model with one input, an image [N, H, W, C] of floats.
    """
    if not is_graph(model):
        return _of_closed(model)
    (image,) = model.inputs
    shape = [1, *(side or OPEN_SIZE for side in image.shape[1:3]), image.shape[3]]
    white = keras.ops.full(shape, WHITE, dtype=image.dtype)
    return _follow(model, [white])[0]


def _follow(model: Any, images: list[Any]) -> tuple[FirstSteps, list[Any]]:
    """Follow images through the graph of a model; they are None where no image arrives as it was.

    Returns:
        What was found, and the images that the model gives.
    """
    known = {id(symbol): image for symbol, image in zip(model.inputs, images, strict=True)}
    found = FirstSteps()
    for call in nodes(model):
        arriving = [known.get(id(symbol)) for symbol in call.input_tensors]
        if all(image is None for image in arriving):
            continue
        if is_graph(call.operation):
            inside, leaving = _follow(call.operation, arriving)
        else:
            inside, leaving = _step(call, known)
        found += inside
        known.update(zip(map(id, call.outputs), leaving, strict=False))
    return found, [known.get(id(symbol)) for symbol in model.outputs]


def _step(call: Any, known: dict[int, Any]) -> tuple[FirstSteps, list[Any]]:
    """Run one call on images; return what it is, and the images behind it if it keeps white."""
    operation = call.operation
    normalizes = isinstance(operation, keras.layers.Normalization)
    if getattr(operation, "weights", ()) and not normalizes:
        return _of_closed(operation), []
    missing = [symbol for symbol in call.input_tensors if known.get(id(symbol)) is None]
    if missing:  # joins the image and something else
        return FirstSteps(others=(operation.name,)), []
    args, kwargs = call.arguments.fill_in(known)
    if takes_training(operation):
        kwargs["training"] = False
    try:
        images = keras.tree.flatten(operation(*args, **kwargs))
    except Exception:  # noqa: BLE001 - whatever a layer of the user's raises
        return _of_closed(operation), []
    largest = max(float(np.abs(keras.ops.convert_to_numpy(image)).max()) for image in images)
    limit = LARGEST_NORMALIZED if normalizes else WHITE
    if largest > limit * (1 + TOLERANCE):
        return FirstSteps(others=(operation.name,)), []
    if normalizes or largest < WHITE * (1 - TOLERANCE):
        return FirstSteps(preprocessing=(operation.name,)), []
    return FirstSteps(), images


def _of_closed(operation: Any) -> FirstSteps:
    """Judge a model or layer by the classes of the layers inside."""
    inside = flatten_layers(operation) if isinstance(operation, keras.Layer) else ()
    names = tuple(layer.name for layer in inside if isinstance(layer, KINDS))
    return FirstSteps(preprocessing=names) if names else FirstSteps(others=(operation.name,))
