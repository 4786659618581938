"""Refusals of conversion: classes and arguments that have no ONNX form."""

from __future__ import annotations

from typing import Any, NoReturn

import keras

from kexport.errors import UnsupportedModel
from kexport.keras_graph import parts

REFUSED = {
    "Equalization": "Keras cannot put it into a functional model; it does nothing at inference",
    "FlaxLayer": "runs in JAX, not in TensorFlow",
    "HashedCrossing": "ONNX has no operator for its hash",
    "Hashing": "ONNX has no operator for its hash",
    "JaxLayer": "runs in JAX, not in TensorFlow",
    "MelSpectrogram": "tf2onnx has no ONNX for TensorFlow's RFFT",
    "StringLookup": "text: look the words up before the model",
    "TextVectorization": "text: turn it into numbers before the model",
    "TorchModuleWrapper": "runs in PyTorch, not in TensorFlow",
}
"""Classes of Keras that cannot be converted, by name, with the reason."""


def refuse_class(layer: Any) -> None:
    """Refuse a layer or operation whose class is in `REFUSED`, or a layer with sparse outputs.

    Raises:
        UnsupportedModel: with the layer, its class and the reason.
    """
    kind = type(layer)
    reason = REFUSED.get(kind.__name__)
    if reason is not None and kind.__module__.startswith("keras."):
        raise UnsupportedModel(
            f"layer {layer.name!r} ({kind.__name__}) has no ONNX form: {reason}",
            hint="do its work before the model, and take it out of the exported model",
        )
    if kind.__module__.startswith("keras.") and getattr(layer, "sparse", False) is True:
        refuse(layer, "sparse", True, "sparse=False")


def described(operation: Any) -> str:
    """Return what a message calls a layer, model or operation, as in `layer 'head' (Dense)`."""
    kind = type(operation)
    if isinstance(operation, keras.Layer):
        return f"layer {operation.name!r} ({kind.__name__})"
    functions = (*dir(keras.ops), *(f"image.{name}" for name in dir(keras.ops.image)))
    wanted = kind.__name__.lower()
    fitting = (one for one in functions if one.split(".")[-1].replace("_", "") == wanted)
    return f"operation {operation.name!r} (keras.ops.{next(fitting, kind.__name__)})"


def refuse(layer: Any, argument: str, value: object, wanted: str) -> NoReturn:
    """Refuse a layer for one of its arguments.

    Raises:
        UnsupportedModel: always, with the layer, the argument and the values that it may have.
    """
    raise UnsupportedModel(
        f"layer {layer.name!r} ({type(layer).__name__}) has {argument}={value!r}, "
        f"which has no ONNX form here",
        hint=f"use {wanted}, or take this layer out of the exported model",
    )


def refuse_stateful(layer: Any) -> None:
    """Refuse a layer that keeps a state from one call to the next, or has such a layer in it.

    Raises:
        UnsupportedModel: with the name of the recurrent layer.
    """
    for part in parts(layer) if isinstance(layer, keras.Layer) else ():
        if isinstance(part, keras.layers.RNN) and part.stateful:
            raise UnsupportedModel(
                f"layer {part.name!r} ({type(part).__name__}) has stateful=True: it keeps its "
                f"state from one call to the next, and an ONNX graph keeps nothing between runs",
                hint="build it with stateful=False and return_state=True, and make the states "
                "inputs (initial_state) and outputs of the model",
            )


class NoRule(Exception):
    """Raised by a rule before it emits anything, where the call has no exact ONNX form.

    The call is then traced as if its class had no rule.
    """
