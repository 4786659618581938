"""Validation of the arguments of a Keras Application, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexport.errors import BadArgument, KexportError, UnsupportedModel, WeightsUnavailable
from kexport.options.application import Recipe
from kexport.options.by_input import of_input, refuse_unknown
from kexport.options.input_image import IMAGE
from kexport.options.preprocessing import AUTO, RAW, Asked, Preprocessing, described, is_known
from kexport.zoo import Application

IMAGENET_CLASSES = 1000
"""Classes of ImageNet's challenge (ILSVRC)."""

_CHANNELS_FIRST_REFUSED = frozenset({"convnext"})
"""Modules of keras.applications whose builders only take channels last."""


def check(application: Application, recipe: Recipe, data_format: str) -> None:
    """Check the arguments in `recipe` against those that the Application takes.

    Args:
        application: the row of the zoo.
        recipe: the arguments of the user.
        data_format: Keras' image data format, "channels_last" or "channels_first".

    Raises:
        BadArgument: arguments that contradict each other, or that this Application lacks.
        UnsupportedModel: an image size or a data format that the architecture cannot take.
    """
    for faults in (_of_arguments, _of_shape, _of_classifier, _of_imagenet):
        for fault in faults(application, recipe):
            raise fault
    if data_format == "channels_first" and application.module in _CHANNELS_FIRST_REFUSED:
        raise UnsupportedModel(
            f"{application.name} takes channels last, and Keras is set to channels first",
            hint="set image_data_format to channels_last, in ~/.keras/keras.json or keras.config",
        )


def check_own(recipe: Recipe, source: str) -> None:
    """Refuse arguments that only Applications have, for the model of one's own `source`.

    Raises:
        BadArgument: such an argument is given.
    """
    asked = recipe.application_only()
    if asked:
        raise BadArgument(
            f"`recipe.{asked}` is an argument of Keras Applications, and {source} is not one",
            hint="change the model in Keras instead",
        )


def weights_file(recipe: Recipe) -> Path | None:
    """Return the weights file of a `recipe`, None if it names no file.

    Raises:
        WeightsUnavailable: it does not exist.
    """
    if recipe.random or recipe.weights in (None, "imagenet"):
        return None
    path = Path(recipe.weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"there is no weights file {path}",
            hint="give imagenet, random, or the path of a .weights.h5, .h5 or .keras file",
        )
    return path


def mode_of(application: Application, recipe: Recipe) -> Preprocessing:
    """Return the preprocessing that remains to be done before the model.

    Raises:
        BadArgument: as `Recipe.preprocessing`.
    """
    if application.bare is None or recipe.include_preprocessing:
        return application.mode
    asked: Asked | None = of_input(recipe.preprocessing(), IMAGE)
    return asked if is_known(asked) else application.bare


def further(recipe: Recipe) -> dict[str, Any]:
    """Return the arguments in `recipe` that not every builder has, by their names in Keras."""
    said = {
        "alpha": recipe.alpha,
        "minimalistic": recipe.minimalistic or None,
        "depth_multiplier": recipe.depth_multiplier,
        "include_preprocessing": None if recipe.include_preprocessing else False,
    }
    return {name: value for name, value in said.items() if value is not None}


def _of_arguments(application: Application, recipe: Recipe) -> Iterator[KexportError]:
    for name in further(recipe):
        if name not in application.arguments:
            known = ", ".join(f"`recipe.{argument}`" for argument in application.arguments)
            yield BadArgument(
                f"{application.name} has no argument {name}",
                hint=f"leave out `recipe.{name}`" + (f"; it takes {known}" if known else ""),
            )
    if recipe.alpha is not None and recipe.alpha <= 0:
        yield BadArgument(
            f"`recipe.alpha` must be positive, not {recipe.alpha:g}",
            hint="give a number such as 0.5",
        )
    if recipe.depth_multiplier is not None and recipe.depth_multiplier < 1:
        yield BadArgument(
            f"`recipe.depth_multiplier` must be at least 1, not {recipe.depth_multiplier}",
            hint="give 1 or more",
        )
    yield from _of_preprocessing(application, recipe)


def _of_preprocessing(application: Application, recipe: Recipe) -> Iterator[KexportError]:
    refuse_unknown(recipe.preprocessing(), [IMAGE], "`recipe.preprocess`")
    asked = of_input(recipe.preprocessing(), IMAGE)
    if asked is None or (asked not in (AUTO, RAW) and not recipe.include_preprocessing):
        return
    if asked == RAW:
        yield BadArgument(
            f"{application.name} takes images, which are not raw",
            hint="leave out `recipe.preprocess`",
        )
        return
    given = "preprocess" if recipe.preprocess is not None else recipe.numbers()[0]
    if asked == AUTO and not recipe.include_preprocessing and application.bare is not None:
        known = described(application.bare)
        yield BadArgument(
            f"the preprocessing of {application.name} is known, {known}, and not to be tried",
            hint="leave out `recipe.preprocess`, or give the mode of your training",
        )
        return
    layers = (
        "; or leave them out with `recipe.include_preprocessing=False`" if application.bare else ""
    )
    own = "as layers" if application.inside else described(application.mode)
    yield BadArgument(
        f"{application.name} has a preprocessing of its own, {own}",
        hint=f"leave out `recipe.{given}`; it is for models from files{layers}",
    )


def _of_shape(application: Application, recipe: Recipe) -> Iterator[KexportError]:
    shape, least = recipe.input_shape, application.min_size
    if shape is None:
        return
    if len(shape) != 3:
        yield BadArgument(
            f"an input shape is height, width and channels, not {shape}",
            hint="give three numbers, such as (224, 224, 3)",
        )
    height, width, channels = shape
    if min(height, width) < least:
        yield UnsupportedModel(
            f"{application.name} takes images of at least {least}x{least}, not {height}x{width}",
            hint="give a larger `recipe.input_shape`",
        )
    grey = recipe.weights != "imagenet" and mode_of(application, recipe) == "tf"
    if channels != 3 and not (channels == 1 and grey):
        yield UnsupportedModel(
            f"{application.name} takes images of 3 channels, not {channels}",
            hint="give `recipe.input_shape=(H, W, 3)`",
        )


def _of_classifier(application: Application, recipe: Recipe) -> Iterator[KexportError]:
    del application
    if recipe.include_top and recipe.pooling is not None:
        yield BadArgument(
            "pooling applies to a model without its classifier",
            hint="add `recipe.include_top=False`, or leave out `recipe.pooling`",
        )
    if recipe.pooling not in (None, "avg", "max"):
        yield BadArgument(f"no pooling is named '{recipe.pooling}'", hint="give avg or max")
    if not recipe.include_top and recipe.activation != "softmax":
        yield BadArgument(
            "a model without its classifier has no activation to choose",
            hint="leave out `recipe.activation`, or `recipe.include_top=False`",
        )
    if recipe.classes is not None and recipe.classes < 1:
        yield BadArgument(
            f"{recipe.classes} classes are too few", hint="give `recipe.classes` 1 or more"
        )
    if not recipe.include_top and recipe.classes is not None:
        yield BadArgument(
            "a model without its classifier has no classes",
            hint="leave out `recipe.classes`, or `recipe.include_top=False`",
        )


def _of_imagenet(application: Application, recipe: Recipe) -> Iterator[KexportError]:
    """Yield the conflicts with trained weights; those from a file have fewer limits."""
    if not recipe.random and recipe.activation not in ("softmax", "linear", None):
        name = getattr(recipe.activation, "__name__", recipe.activation)
        yield BadArgument(
            f"trained weights go with the activation softmax or none, not '{name}'",
            hint="leave out `recipe.activation`, or try with `recipe.weights='random'`",
        )
    if recipe.weights != "imagenet":
        return
    own = "give your own with `recipe.weights=PATH`, try with `recipe.weights='random'`"
    if recipe.classes not in (None, IMAGENET_CLASSES):
        yield BadArgument(
            f"the ImageNet weights have {IMAGENET_CLASSES} classes, not {recipe.classes}",
            hint=f"{own}, or leave out `recipe.classes`",
        )
    alphas = (1.0,) if recipe.minimalistic else application.alphas
    if recipe.alpha is not None and recipe.alpha not in alphas:
        kind = "a minimalistic " if recipe.minimalistic else ""
        yield BadArgument(
            f"there are no ImageNet weights for {kind}{application.name} of alpha {recipe.alpha:g}",
            hint=f"{own}, or choose from {', '.join(f'{alpha:g}' for alpha in alphas)}",
        )
    if recipe.depth_multiplier not in (None, 1):
        yield BadArgument(
            f"there are no ImageNet weights for depth multiplier {recipe.depth_multiplier}",
            hint=f"{own}, or leave out `recipe.depth_multiplier`",
        )
    sizes = application.sizes if recipe.include_top else ()
    if recipe.input_shape is not None and sizes:
        height, width, _ = recipe.input_shape
        if height != width or height not in sizes:
            listed = " or ".join(f"{size}x{size}" for size in sizes)
            yield BadArgument(
                f"the ImageNet weights of {application.name} with its classifier are for images "
                f"of {listed}, not {height}x{width}",
                hint=f"add `recipe.include_top=False`, {own}, or leave out `recipe.input_shape`",
            )
