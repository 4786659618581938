"""Source of an export: a Keras Application by name, a model file, or a Keras model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from kexport.options.application import Recipe
from kexport.options.preprocessing import AskedByInput
from kexport.source import model_name
from kexport.source.application import build
from kexport.source.arguments import IMAGENET_CLASSES, check_own, mode_of
from kexport.source.clone import in_float32, with_image_input
from kexport.source.labels import imagenet_labels
from kexport.source.saved_model import load_file
from kexport.zoo import Application

Kind = Literal["probabilities", "logits", "features"]

_APPLICATIONS = "keras.applications."
"""How the source of an Application begins."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Keras model, and the facts about it that its layers do not show.

    `mode` is the preprocessing that its images need, where it is known, for all inputs or by name:
    it is "auto" or None for a model of one's own if the user said so, or nothing. `sha256` is over
    the names, dtypes, shapes and values of its weights; `kind` is the kind of its output, if it is
    an Application.
    """

    model: keras.Model
    name: str
    source: str
    mode: AskedByInput
    weights: str
    sha256: str
    labels: tuple[str, ...] | None
    kind: Kind | None

    @property
    def is_application(self) -> bool:
        """Whether it is a Keras Application that was given by its name."""
        return self.source.startswith(_APPLICATIONS)


def open_model(model: str | Path | keras.Model, recipe: Recipe) -> Source:
    """Build an Application, load a file, or take a model as it is.

    Raises:
        UnknownModel: neither an Application nor a file has that name.
        UnreadableModel, UntrustedModel, UnsupportedModel, WeightsUnavailable, BadArgument: as
            `application.build` and `saved_model.load_file` raise them.
    """
    if isinstance(model, keras.Model):
        return _own(model, model.name, f"{type(model).__module__}.{type(model).__name__}", recipe)
    found = model_name.find(model)
    if isinstance(found, Application):
        return _of_application(found, recipe)
    return _own(load_file(found, trust=recipe.trust), found.stem, found.name, recipe)


def _of_application(application: Application, recipe: Recipe) -> Source:
    built = build(application, recipe)
    classes = recipe.classes or IMAGENET_CLASSES
    return Source(
        model=_exportable(built),
        name=application.name,
        source=f"{_APPLICATIONS}{application.builder}",
        mode=mode_of(application, recipe),
        weights="random" if recipe.weights is None else Path(recipe.weights).name,
        sha256=weights_digest(built),
        labels=imagenet_labels() if recipe.include_top and classes == IMAGENET_CLASSES else None,
        kind=_kind(recipe),
    )


def _kind(recipe: Recipe) -> Kind | None:
    if not recipe.include_top:
        return "features"
    activation = keras.activations.get(recipe.activation)
    if activation is keras.activations.linear:
        return "logits"
    return "probabilities" if activation is keras.activations.softmax else None


def _own(model: keras.Model, name: str, source: str, recipe: Recipe) -> Source:
    check_own(recipe, source)
    return Source(
        model=_exportable(model),
        name=model_name.cleaned(name),
        source=source,
        mode=recipe.preprocessing(),
        weights=source,
        sha256=weights_digest(model),
        labels=None,
        kind=None,
    )


def _exportable(model: keras.Model) -> keras.Model:
    """Return the model in float32, with an image input as [N, H, W, C]."""
    return with_image_input(in_float32(model))


def weights_digest(model: keras.Model) -> str:
    """Hash every weight's name, dtype, shape and bytes, in the model's order, with SHA-256."""
    digest = hashlib.sha256()
    for number, variable in enumerate(model.weights):
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{number} {variable.name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


__all__ = ["Recipe", "Source", "open_model", "weights_digest"]
