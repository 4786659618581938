"""The rounding error of activations that lose digits inside themselves, and inside a layer.

An engine's sigmoid is off by a unit of 1, however small its value: ONNX Runtime by up to 1.3e-7. A
GELU is x times a number that nearly vanishes for negative x, so it is off by a unit of x. Noise
that is relative to the result shows neither, nor what the gates of a recurrent layer make of it.
Engines compute activations in float32, whatever they store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from kexport.keras_graph import carry_over, flatten_layers, private_name
from kexport.parity.units import UNITS, Draw

OFF_BY_A_UNIT = frozenset({"celu", "elu", "logsigmoid", "selu", "sigmoid", "softplus"})
"""Functions whose error is a unit of 1: a sum with 1 is rounded."""

OFF_BY_THEIR_INPUT = frozenset({"gelu", "mish", "silu", "squareplus", "tanhshrink"})
"""Functions whose error is a unit of what they read: a factor of it is such a sum, or a number near
it is subtracted."""

INEXACT = OFF_BY_A_UNIT | OFF_BY_THEIR_INPUT

HELD = ("activation", "recurrent_activation")
"""Attributes of layers and of recurrent cells that hold an activation."""


@contextmanager
def moved_activations(layer: Any, draw: Draw) -> Iterator[None]:
    """Add the errors of the activations that a layer holds, at any depth, while it is called."""
    before = [
        (owner, name, getattr(owner, name))
        for owner in _owners(layer)
        for name in HELD
        if _key(vars(owner).get(name)) in INEXACT
    ]
    try:
        for owner, name, function in before:
            setattr(owner, name, _moved(function, draw))
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def moved_operation(operation: Any, args: Sequence[Any], result: Any, draw: Draw) -> Any:
    """Add the error of an operation of `keras.ops` that is one of these functions."""
    key = private_name(type(operation)).removeprefix("ops.nn.").lower()
    return _with_error(key, args[0], result, draw) if key in INEXACT else result


def _owners(layer: Any) -> list[Any]:
    inside = [layer, *flatten_layers(layer)] if isinstance(layer, keras.Layer) else []
    return list({id(each): each for each in inside}.values())


def _key(function: Any) -> str:
    return str(getattr(function, "__name__", "")).replace("_", "")


def _moved(function: Callable[..., Any], draw: Draw) -> Callable[..., Any]:
    def moved(x: Any) -> Any:
        return _with_error(_key(function), x, function(x), draw)

    return moved


def _with_error(key: str, x: Any, result: Any, draw: Draw) -> Any:
    error = draw(result.shape) * UNITS["fp32"]
    if key in OFF_BY_THEIR_INPUT:
        error = error * ops.cast(x, "float32")
    return carry_over(result, result + ops.cast(error, result.dtype))
