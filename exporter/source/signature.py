"""The inputs of a subclassed model, where the user says what they are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from kexport.errors import BadArgument, KexportError, UnsupportedModel, one_line
from kexport.keras_graph import is_graph, required_arguments

Signature = Any
"""What a model takes: one input, a list of them, or a dict by name. An input is anything with a
shape and a dtype: a keras.InputSpec, a tf.TensorSpec, a keras.KerasTensor."""

_ASK = (
    "give a keras.InputSpec with shape and dtype for each input, such as "
    'keras.InputSpec(shape=(None, None), dtype="int32", name="tokens")'
)


def with_signature(model: Any, signature: Signature) -> Any:
    """Return a functional model around a subclassed one, with the inputs of a signature.

    Several inputs are the arguments of a `call` of as many, a list by place and a dict by name; any
    other `call` gets them as one argument.

    Args:
        model: the subclassed model, built or not; the name of another where there is no signature.
        signature: its inputs; axes that are None stay open, the first one is the batch. None
            returns the model as it is.

    Raises:
        BadArgument: the model has inputs of its own, or the signature lacks a shape or a dtype.
        UnsupportedModel: the model cannot be called on these inputs.
    """
    if signature is None:
        return model
    if not isinstance(model, keras.Model) or is_graph(model):
        raise BadArgument(
            f"model {getattr(model, 'name', str(model))!r} has inputs of its own, and "
            "`input_signature` is for subclassed models",
            hint="leave out `input_signature`",
        )
    inputs = _inputs(signature)
    parameters = inspect.signature(model.call).parameters
    training = {"training": False} if "training" in parameters else {}
    try:
        if isinstance(inputs, dict) and set(inputs) <= set(parameters):
            outputs = model(**inputs, **training)
        elif isinstance(inputs, list) and len(inputs) == len(required_arguments(model)):
            outputs = model(*inputs, **training)
        else:
            outputs = model(inputs, **training)
        return keras.Model(inputs, outputs, name=model.name)
    except KexportError:
        raise
    except Exception as error:
        raise UnsupportedModel(
            f"model {model.name!r} cannot be called on the inputs of `input_signature`: "
            f"{one_line(error)}",
            hint="compare their shapes and dtypes with what its call takes",
        ) from error


def _inputs(signature: Signature) -> Any:
    if isinstance(signature, Mapping) and signature:
        return {name: _input(spec, name) for name, spec in signature.items()}
    if isinstance(signature, (list, tuple)) and signature:
        found = [_input(spec, getattr(spec, "name", None)) for spec in signature]
        return found[0] if len(found) == 1 else found
    return _input(signature, getattr(signature, "name", None))


def _input(spec: Any, name: str | None) -> keras.KerasTensor:
    shape, dtype = getattr(spec, "shape", None), getattr(spec, "dtype", None)
    if not shape or dtype is None:
        raise BadArgument(f"`input_signature` has {spec!r}", hint=_ASK)
    kind = keras.backend.standardize_dtype(dtype)
    return keras.Input(batch_shape=tuple(shape), dtype=kind, name=name)
