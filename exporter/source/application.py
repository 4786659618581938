"""Keras Applications, built with ImageNet weights, weights from a file or random weights."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kexport.errors import UnsupportedModel, WeightsUnavailable, one_line
from kexport.options.application import Recipe
from kexport.source.arguments import IMAGENET_CLASSES, check, further, mode_of, weights_file
from kexport.source.preprocessing import prepare
from kexport.source.random_weights import randomise
from kexport.source.synthetic_images import count_for, draw_images
from kexport.zoo import IMAGENET_DEVIATION, Application

DOWNLOAD_TIMEOUT = 15.0
"""Seconds that a server may keep silent while weights are downloaded: long for a server, short for
a user who is offline. Without it the operating system waits for minutes."""


def build(application: Application, recipe: Recipe) -> keras.Model:
    """Build an Application from a `recipe`.

    Raises:
        BadArgument: arguments that contradict each other.
        UnsupportedModel: an image size that the architecture cannot take.
        WeightsUnavailable: ImageNet weights that cannot be downloaded, or a file that does not fit.
    """
    data_format = keras.config.image_data_format()
    check(application, recipe, data_format)
    file = weights_file(recipe)
    builder = getattr(keras.applications, application.builder)
    imagenet = recipe.weights == "imagenet"
    arguments: dict[str, Any] = {
        "include_top": recipe.include_top,
        "input_shape": _keras_shape(application, recipe, data_format),
        "pooling": recipe.pooling,
        "classes": recipe.classes or IMAGENET_CLASSES,
        "classifier_activation": recipe.activation,
        **further(recipe),
    }
    try:
        with contextlib.redirect_stdout(sys.stderr), _socket_timeout(DOWNLOAD_TIMEOUT):
            model = builder(weights="imagenet" if imagenet else None, **arguments)
    except Exception as error:
        reason = one_line(error)
        if isinstance(error, (ValueError, TypeError)) and "corrupted" not in reason:
            raise UnsupportedModel(
                f"Keras cannot build {application.builder}: {reason}",
                hint="see keras.io/api/applications for the arguments it takes",
            ) from error
        if not imagenet:
            raise
        if isinstance(error, ValueError) or "file signature" in reason:
            raise WeightsUnavailable(
                f"the ImageNet weights of {application.name} arrived damaged: {reason}",
                hint="delete them from ~/.keras/models, and try again",
            ) from error
        raise WeightsUnavailable(
            f"the ImageNet weights of {application.name} cannot be downloaded: {reason}",
            hint="go online, give a file with `recipe.weights=PATH`, or try with "
            "`recipe.weights='random'`",
        ) from error
    if recipe.random:
        _draw_weights(model, application, recipe, builder, arguments)
    elif file is not None:
        _load_weights(model, file)
        if application.module == "efficientnet":
            _square_deviations(model)
    return model


def _input_shape(application: Application, recipe: Recipe) -> tuple[int, int, int]:
    return recipe.input_shape or (application.size, application.size, 3)


def _keras_shape(
    application: Application, recipe: Recipe, data_format: str
) -> tuple[int, int, int]:
    """Return the input shape in Keras' data format."""
    height, width, channels = _input_shape(application, recipe)
    return (
        (channels, height, width) if data_format == "channels_first" else (height, width, channels)
    )


def _draw_weights(
    model: keras.Model,
    application: Application,
    recipe: Recipe,
    builder: Callable[..., keras.Model],
    arguments: dict[str, Any],
) -> None:
    """Draw random weights while synthetic images pass through the model.

    TensorFlow computes no channels-first convolution on a CPU. The weights of such a model are
    drawn in a channels-last copy, which has the same weights in the same order.
    """
    height, width, channels = _input_shape(application, recipe)
    drawn = draw_images(count_for(height, width), height, width, channels, recipe.seed)
    prepared = prepare(drawn, mode_of(application, recipe))
    if keras.config.image_data_format() == "channels_last":
        randomise(model, recipe.seed, prepared)
        return
    with _channels_last():
        twin = builder(weights=None, **{**arguments, "input_shape": (height, width, channels)})
    randomise(twin, recipe.seed, prepared)
    model.set_weights(twin.get_weights())


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def _load_weights(model: keras.Model, path: Path) -> None:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model.load_weights(path)
    except Exception as error:
        raise WeightsUnavailable(
            f"{path} does not fit {model.name}: {one_line(error)}",
            hint="give weights saved from the same architecture with the same arguments",
        ) from error


def _square_deviations(model: keras.Model) -> None:
    """Correct the variance in ImageNet weights of EfficientNet, which is a standard deviation.

    Keras compensates for it with one more Rescaling layer, but only when it downloads the weights
    itself (tensorflow/tensorflow#49930): with the same file given by its path, the images would
    have the wrong contrast.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            variance = keras.ops.convert_to_numpy(layer.adapt_variance)
            if variance.shape == (3,) and np.allclose(variance, IMAGENET_DEVIATION, atol=1e-4):
                layer.adapt_variance.assign(variance**2)
                layer.finalize_state()


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Set the timeout of new sockets, in all threads of the process: Keras takes no other."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
