"""Builds a Keras Application with the weights asked for."""

from __future__ import annotations

import contextlib
import socket
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kexport.errors import BadArgument, UnsupportedModel, WeightsUnavailable
from kexport.pictures import count_for, pictures
from kexport.preprocessing import prepare
from kexport.recipe import Recipe
from kexport.weights import randomise
from kexport.zoo import Application

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet, of pixels 0..1."""

SECONDS = 15.0
"""How long a server may keep silent while weights are downloaded."""


def build(application: Application, recipe: Recipe) -> keras.Model:
    """Build an Application as `recipe` says.

    Raises:
        BadArgument: arguments that contradict each other.
        UnsupportedModel: a picture size that the architecture cannot take.
        WeightsUnavailable: ImageNet weights that cannot be downloaded, or a file that does not fit.
    """
    _check(application, recipe)
    file = _weights_file(recipe)
    builder = getattr(keras.applications, application.builder)
    imagenet = recipe.weights == "imagenet"
    arguments: dict[str, Any] = {
        "include_top": recipe.include_top,
        "input_shape": _input_shape(application, recipe),
        "pooling": recipe.pooling,
        "classes": recipe.classes or 1000,
        "classifier_activation": recipe.activation,
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
            hint="go online, give a file with --weights PATH, or try with --weights random",
        ) from error
    if recipe.weights == "random":
        height, width, channels = _input_shape(application, recipe)
        count = count_for(height, width)
        drawn = pictures(count, height, width, channels, recipe.seed)
        randomise(model, recipe.seed, prepare(drawn, application.mode))
    elif file is not None:
        _load_weights(model, file)
        if application.module == "efficientnet":
            _square_deviations(model)
    return model


def _check(application: Application, recipe: Recipe) -> None:
    if keras.config.image_data_format() != "channels_last":
        raise UnsupportedModel(
            "Keras is set to put channels first, and kexport builds Applications with them last",
            hint="call keras.config.set_image_data_format('channels_last') first",
        )
    if recipe.input_shape is not None:
        if len(recipe.input_shape) != 3:
            raise BadArgument(
                f"an input shape is height, width and channels, not {recipe.input_shape}",
                hint="give three numbers, such as (224, 224, 3)",
            )
        height, width, channels = recipe.input_shape
        if min(height, width) < application.min_size:
            raise UnsupportedModel(
                f"{application.name} takes pictures of at least "
                f"{application.min_size}x{application.min_size}, not {height}x{width}",
                hint="give a larger --input-shape",
            )
        grey = recipe.weights != "imagenet" and application.mode == "tf"
        if channels != 3 and not (channels == 1 and grey):
            raise UnsupportedModel(
                f"{application.name} takes pictures of 3 channels, not {channels}",
                hint="give --input-shape H,W",
            )
    if recipe.include_top and recipe.pooling is not None:
        raise BadArgument(
            "pooling applies to a model without its classifier",
            hint="add --no-top, or leave out --pooling",
        )
    if recipe.pooling not in (None, "avg", "max"):
        raise BadArgument(f"no pooling is named '{recipe.pooling}'", hint="give avg or max")
    if not recipe.include_top and recipe.activation != "softmax":
        raise BadArgument(
            "a model without its classifier has no activation to choose",
            hint="leave out --activation, or --no-top",
        )
    if recipe.weights != "random" and recipe.activation not in ("softmax", "linear", None):
        raise BadArgument(
            f"trained weights go with the activation softmax or none, not '{recipe.activation}'",
            hint="leave out --activation, or try with --weights random",
        )
    if recipe.classes is not None and recipe.classes < 1:
        raise BadArgument(f"{recipe.classes} classes are too few", hint="give --classes 1 or more")
    if not recipe.include_top and recipe.classes is not None:
        raise BadArgument(
            "a model without its classifier has no classes",
            hint="leave out --classes, or --no-top",
        )
    if recipe.weights == "imagenet" and recipe.classes not in (None, 1000):
        raise BadArgument(
            f"the ImageNet weights have 1000 classes, not {recipe.classes}",
            hint="give your own with --weights PATH, or leave out --classes",
        )


def _input_shape(application: Application, recipe: Recipe) -> tuple[int, int, int]:
    return recipe.input_shape or (application.size, application.size, 3)


def _weights_file(recipe: Recipe) -> Path | None:
    """The file that `recipe` takes the weights from, looked for before anything is built."""
    if recipe.weights in ("imagenet", "random"):
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
    (tensorflow/tensorflow#49930): the same file given by its path would see pictures of the wrong
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
