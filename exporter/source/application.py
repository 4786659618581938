"""Builds a Keras Application with the weights asked for."""

from __future__ import annotations

import contextlib
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kexport.errors import UnsupportedModel, WeightsUnavailable
from kexport.options.application import Recipe
from kexport.source.arguments import IMAGENET_CLASSES, check, further, mode_of
from kexport.source.preprocessing import prepare
from kexport.source.random_weights import randomise
from kexport.source.synthetic_images import count_for, pictures
from kexport.zoo import Application

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet, of pixels 0..1."""

SECONDS = 15.0
"""How long a server may keep silent while weights are downloaded."""


def build(application: Application, recipe: Recipe) -> keras.Model:
    """Build an Application as `recipe` says.

    Raises:
        BadArgument: arguments that contradict each other.
        UnsupportedModel: an image size that the architecture cannot take.
        WeightsUnavailable: ImageNet weights that cannot be downloaded, or a file that does not fit.
    """
    data_format = keras.config.image_data_format()
    check(application, recipe, data_format)
    file = _weights_file(recipe)
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
        with contextlib.redirect_stdout(sys.stderr), _patience(SECONDS):
            model = builder(weights="imagenet" if imagenet else None, **arguments)
    except Exception as error:
        reason = _one_line(error)
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
            '`recipe.weights="random"`',
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
    """The input shape in Keras' data format."""
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
    """Random weights, drawn while images pass through.

    TensorFlow computes no channels-first convolution on a CPU. A twin with channels last, which has
    the same weights in the same order, is drawn in place of such a model.
    """
    height, width, channels = _input_shape(application, recipe)
    drawn = pictures(count_for(height, width), height, width, channels, recipe.seed)
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


def _weights_file(recipe: Recipe) -> Path | None:
    """The file that `recipe` takes the weights from, looked for before anything is built."""
    if recipe.random or recipe.weights in (None, "imagenet"):
        return None
    path = Path(recipe.weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"there is no weights file {path}",
            hint="give imagenet, random, or the path of a .weights.h5, .h5 or .keras file",
        )
    return path


def _load_weights(model: keras.Model, path: Path) -> None:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model.load_weights(path)
    except Exception as error:
        raise WeightsUnavailable(
            f"{path} does not fit {model.name}: {_one_line(error)}",
            hint="give weights saved from the same architecture with the same arguments",
        ) from error


def _square_deviations(model: keras.Model) -> None:
    """Put right the variance in ImageNet weights of EfficientNet, which is a standard deviation.

    Keras makes up for it by one more Rescaling layer, but only when it downloads the weights itself
    (tensorflow/tensorflow#49930): the same file given by its path would see images of the wrong
    contrast.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            variance = keras.ops.convert_to_numpy(layer.adapt_variance)
            if variance.shape == (3,) and np.allclose(variance, IMAGENET_DEVIATION, atol=1e-4):
                layer.adapt_variance.assign(variance**2)
                layer.finalize_state()


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let a connection that does not answer fail after some seconds, not minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return textwrap.shorten(lines[0], 200) if lines else type(error).__name__
