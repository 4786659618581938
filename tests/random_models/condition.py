"""Random weights of random conditioning: scales, variances and biases over several decades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from support import Array

from kexport.keras_graph import is_graph, rerun, structured, takes_training
from random_models.kind import Rng, chance, decades, pick

SPREADS = (0.2, 1.0, 2.0)
"""Decades by which the scales of a model's layers differ from 1, either way: a healthy model, a
model of unlike layers, and one that trained badly."""

CALM = 0.3
"""Decades that the scale of a recurrent layer or an attention exceeds 1 by at most. Beyond it their
states jump between saturated values."""


def condition(model: keras.Model, inputs: Sequence[Array], rng: Rng) -> list[Array]:
    """Draw all weights, layer by layer, with the values that reach the layer.

    Every weight of a layer has a scale of its own, ten to the power of a uniform number. Variances
    of a BatchNormalization lie within six decades, or near the variances of what it reads. A bias
    may be drawn so that it nearly cancels the mean of what it is added to: what is left has lost
    digits.

    Returns:
        The outputs for the inputs, in the order of `keras.tree.flatten`.
    """
    spread = pick(rng, *SPREADS)

    def step(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return rerun(operation, args[0], step)
        if not isinstance(operation, keras.Layer):
            return operation(*args, **kwargs)
        if takes_training(operation):
            kwargs = {**kwargs, "training": False}
        _draw(operation, args, rng, spread)
        y = operation(*args, **kwargs)
        if _adds_bias(operation) and chance(rng, 0.2):
            _cancel(operation, y, rng)
            y = operation(*args, **kwargs)
        return y

    given = [keras.ops.convert_to_tensor(array) for array in inputs]
    outputs = rerun(model, structured(model, given), step)
    return [np.asarray(y) for y in keras.tree.flatten(outputs)]


def _draw(layer: Any, args: Sequence[Any], rng: Rng, spread: float) -> None:
    gain = decades(rng, -spread, _highest(layer, spread))
    for variable in layer.weights:
        if np.issubdtype(np.dtype(variable.dtype), np.floating):
            variable.assign(_value(rng, variable, gain, spread))
    if isinstance(layer, keras.layers.BatchNormalization):
        _set_statistics(layer, np.asarray(args[0]), rng)


def _highest(layer: Any, spread: float) -> float:
    name = type(layer).__name__
    delicate = any(word in name for word in ("RNN", "LSTM", "GRU", "Bidirectional", "Attention"))
    return min(spread, CALM) if delicate else spread


def _value(rng: Rng, variable: Any, gain: float, spread: float) -> Array:
    name, shape = variable.name, tuple(variable.shape)
    if name in ("gamma", "scale"):
        signs = rng.choice([1, 1, 1, -1], shape)
        return gain * signs * decades(rng, -spread / 2, spread / 2, shape)
    if "variance" in name:
        return decades(rng, -3, 3, shape)
    if name in ("beta", "bias", "moving_mean") or name.endswith("_bias"):
        return rng.normal(size=shape) * gain * decades(rng, -2, 1)
    fan_in = max(1, int(np.prod(shape[:-1])))
    channels = decades(rng, -1, 1, shape[-1:]) if chance(rng, 0.25) else 1.0
    return rng.normal(size=shape) * gain / np.sqrt(fan_in) * channels


def _set_statistics(layer: Any, x: Array, rng: Rng) -> None:
    """Give half of the BatchNormalizations the statistics of what they read, to a factor of ten."""
    if chance(rng, 0.5):
        return
    axes = tuple(range(x.ndim - 1))
    factor = decades(rng, -1, 1, layer.moving_variance.shape)
    layer.moving_mean.assign(x.mean(axes))
    layer.moving_variance.assign(x.var(axes) * factor)


def _adds_bias(layer: Any) -> bool:
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return getattr(layer, "bias", None) is not None and activation == "linear"


def _cancel(layer: Any, y: Any, rng: Rng) -> None:
    """Move the bias so that the mean of each channel becomes small."""
    mean = np.asarray(y).reshape(-1, y.shape[-1]).mean(0)
    if mean.shape == tuple(layer.bias.shape):
        layer.bias.assign(np.asarray(layer.bias) - mean * (1 - decades(rng, -4, -1)))
