"""Builds a Keras Application with the weights asked for."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import keras

from kexport.errors import BadArgument, UnsupportedModel, WeightsUnavailable
from kexport.pictures import count_for, pictures
from kexport.preprocessing import prepare
from kexport.recipe import Recipe
from kexport.weights import randomise
from kexport.zoo import Application


def build(application: Application, recipe: Recipe) -> keras.Model:
    """Build an Application as `recipe` says.

    Raises:
        BadArgument: arguments that contradict each other.
        UnsupportedModel: a picture size that the architecture cannot take.
        WeightsUnavailable: ImageNet weights that cannot be downloaded, or a file that does not fit.
    """
    _check(application, recipe)
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
        with contextlib.redirect_stdout(sys.stderr):
            model = builder(weights="imagenet" if imagenet else None, **arguments)
    except (ValueError, TypeError) as error:
        raise UnsupportedModel(
            f"Keras cannot build {application.builder}: {_one_line(error)}",
            hint="see keras.io/api/applications for the arguments it takes",
        ) from error
    except Exception as error:
        if not imagenet:
            raise
        raise WeightsUnavailable(
            f"the ImageNet weights of {application.name} cannot be downloaded: {_one_line(error)}",
            hint="go online, give a file with --weights PATH, or try with --weights random",
        ) from error
    if recipe.weights == "random":
        height, width, channels = _input_shape(application, recipe)
        count = count_for(height, width)
        drawn = pictures(count, height, width, channels, recipe.seed)
        randomise(model, recipe.seed, prepare(drawn, application.mode))
    elif not imagenet:
        _load_weights(model, Path(recipe.weights))
    return model


def _check(application: Application, recipe: Recipe) -> None:
    if recipe.input_shape is not None:
        height, width, channels = recipe.input_shape
        if min(height, width) < application.min_size:
            raise UnsupportedModel(
                f"{application.name} takes pictures of at least "
                f"{application.min_size}x{application.min_size}, not {height}x{width}",
                hint="give a larger --input-shape",
            )
        if channels != 3 and (recipe.weights == "imagenet" or application.mode != "tf"):
            raise UnsupportedModel(
                f"{application.name} takes pictures of 3 channels, not {channels}",
                hint="give --input-shape H,W",
            )
    if recipe.include_top and recipe.pooling is not None:
        raise BadArgument(
            "pooling applies to a model without its classifier",
            hint="add --no-top, or leave out --pooling",
        )
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


def _load_weights(model: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise WeightsUnavailable(
            f"there is no weights file {path}",
            hint="give imagenet, random, or the path of a .weights.h5, .h5 or .keras file",
        )
    try:
        model.load_weights(path)
    except Exception as error:
        raise WeightsUnavailable(
            f"{path} does not fit {model.name}: {_one_line(error)}",
            hint="give weights saved from the same architecture with the same arguments",
        ) from error


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
