"""Preprocessing inside a model: whether its first steps change the range of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def first_steps(model: keras.Model, place: int = 0) -> FirstSteps:
    """Follow an image from an input of a model to the first steps that change its range.

    A step without weights is run on a white image. If the largest value stays 255, as after a
    resize, a crop, padding or an augmentation at inference, the search goes on behind it. If it is
    smaller, as after a Rescaling, a division or a Lambda, the step preprocesses; if it is larger,
    the step is for images in another range. A Normalization preprocesses, unless it was adapted to
    another range. Inner models are entered. Of models and layers without a graph, only the classes
    of the layers inside are known.

    Other inputs of the shape of an image are white too, so that a step that joins several images
    can be run. A step that joins the image and anything else ends the search.

    Args:
        model: a built model.
        place: the place of an input, an image [N, H, W, C] of floats.
    """
    if not is_graph(model):
        return _of_closed(model)
    return _follow(model, [_white(x, at == place) for at, x in enumerate(model.inputs)])[0]


@dataclass(frozen=True, slots=True)
class _White:
    """A white image at some step, and whether it comes from the input that is followed."""

    image: Any
    followed: bool


def _white(symbol: Any, followed: bool) -> _White | None:
    shape = symbol.shape
    if len(shape) != 4 or shape[3] is None or "float" not in str(symbol.dtype):
        return None
    sizes = [1, *(side or OPEN_SIZE for side in shape[1:3]), shape[3]]
    return _White(keras.ops.full(sizes, WHITE, dtype=symbol.dtype), followed)


Arriving = Sequence[_White | None]
"""Images as they arrive somewhere, None where one does not arrive as it was."""


def _follow(model: Any, images: Arriving) -> tuple[FirstSteps, Arriving]:
    """Follow images through the graph of a model.

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


def _step(call: Any, known: Mapping[int, _White | None]) -> tuple[FirstSteps, Arriving]:
    """Run one call on images; return what it is, and the images behind it if it keeps white."""
    given = [known.get(id(symbol)) for symbol in call.input_tensors]
    followed = any(white is not None and white.followed for white in given)
    inside, images = _judge(call, known)
    leaving = [_White(image, followed) for image in images]
    return inside if followed else FirstSteps(), leaving


def _judge(call: Any, known: Mapping[int, _White | None]) -> tuple[FirstSteps, Sequence[Any]]:
    operation = call.operation
    normalizes = isinstance(operation, keras.layers.Normalization)
    if getattr(operation, "weights", ()) and not normalizes:
        return _of_closed(operation), []
    images = {key: white.image for key, white in known.items() if white is not None}
    missing = [symbol for symbol in call.input_tensors if id(symbol) not in images]
    if missing:  # joins the image and something else
        return FirstSteps(others=(operation.name,)), []
    args, kwargs = call.arguments.fill_in(images)
    if takes_training(operation):
        kwargs["training"] = False
    try:
        made = keras.tree.flatten(operation(*args, **kwargs))
    except Exception:  # noqa: BLE001 - whatever a layer of the user's raises
        return _of_closed(operation), []
    largest = max(float(np.abs(keras.ops.convert_to_numpy(image)).max()) for image in made)
    limit = LARGEST_NORMALIZED if normalizes else WHITE
    if largest > limit * (1 + TOLERANCE):
        return FirstSteps(others=(operation.name,)), []
    if normalizes or largest < WHITE * (1 - TOLERANCE):
        return FirstSteps(preprocessing=(operation.name,)), []
    return FirstSteps(), made


def _of_closed(operation: Any) -> FirstSteps:
    """Judge a model or layer by the classes of the layers inside."""
    inside = flatten_layers(operation) if isinstance(operation, keras.Layer) else ()
    names = tuple(layer.name for layer in inside if isinstance(layer, KINDS))
    return FirstSteps(preprocessing=names) if names else FirstSteps(others=(operation.name,))
