"""Names of Keras' classes and functions: private ones, and those that model files hold."""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import import_module
from typing import Any

import keras
from keras.src import api_export, layers
from keras.src.layers.preprocessing.data_layer import DataLayer
from keras.src.models import Functional
from keras.src.utils.naming import to_snake_case

from kexport.keras_graph.keras2 import keras2_hard_sigmoid

PRIVATE = "keras.src."
"""Where Keras keeps the modules whose classes have no public name."""

LEGACY_MODELS = {"Functional": Functional, "Model": keras.Model, "Sequential": keras.Sequential}
"""Names that the loader of .h5 files knows beyond those in `keras.src.layers`."""


def private_name(kind: type) -> str:
    """Return the name of a class of Keras within `keras.src`, as in `ops.numpy.Abs`.

    The name of any other class is empty.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name.removeprefix(PRIVATE) if name.startswith(PRIVATE) else ""


def snake_case(name: str) -> str:
    """Return the name of a class as Keras writes it in names of layers, such as `dense`."""
    return str(to_snake_case(name))


def function_name(function: Any) -> str:
    """Return the name of one of Keras' activation functions; it is empty for any other function.

    None is `linear`.
    """
    if function is None:
        return "linear"
    is_known = str(getattr(function, "__module__", "")).startswith("keras.")
    if not is_known and function is not keras2_hard_sigmoid:
        return ""
    return str(getattr(function, "__name__", ""))


def has_default_name(layer: Any) -> bool:
    """Tell whether a layer or operation has the name that Keras gives, such as `dense_3`."""
    default = re.escape(snake_case(type(layer).__name__))
    return re.fullmatch(rf"{default}(_\d+)?", layer.name) is not None


def symbol(module: str, name: str) -> Any:
    """Return what Keras' loader finds by one of its own modules and a name; None for others."""
    if module.split(".")[0] != "keras":
        return None
    found = api_export.get_symbol_from_name(f"{module}.{name}")
    if found is not None:
        return found
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def legacy_name(name: str) -> Any:
    """Return what the loader of .h5 files finds by a name without a module; None for others."""
    return LEGACY_MODELS.get(name, vars(layers).get(name))


def import_private(module: str) -> None:
    """Import a private module of Keras, so that `symbol` finds its names; leave others alone."""
    if module.startswith(PRIVATE):
        import_module(module)


def outside_of_pipelines(layer: Any) -> Any:
    """Return the call of a layer or operation as a model makes it.

    Preprocessing layers take any graph of TensorFlow for a pipeline of tf.data, and would turn
    whole numbers into floats.
    """
    return partial(keras.Layer.__call__, layer) if isinstance(layer, DataLayer) else layer


def takes_training(layer: Any) -> bool:
    """Tell whether the call of a layer has a `training` argument."""
    return bool(getattr(layer, "_call_has_training_arg", False))


def takes_mask_argument(layer: Any) -> bool:
    """Tell whether the call of a layer has a `mask` argument."""
    return bool(getattr(layer, "_call_has_mask_arg", False))
