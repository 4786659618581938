"""Hard cases for INT8, made on purpose of a MobileNetV2 as keras.applications builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Array = np.ndarray[Any, Any]

DECADES = 4
"""The number of decades over which `spread` spreads the variances."""

DECADES_WIDE, SHIFT = 3, 12.0
"""The decades over which `wide` spreads the channels of residual streams, and the largest shift
that a block adds to one, in standard deviations of what it adds."""


def spread(model: keras.Model) -> None:
    """Variances of all norms over four decades, with the layers after them adapted.

    A channel shrinks, and what reads it grows, so that all is computed as before but for values
    that a ReLU6 ended at 6 and no longer does.
    """
    rng = np.random.default_rng(3)
    sums = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)}
    factor = stream = np.ones(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            added = layer.name.replace("project_BN", "add") in sums
            factor = stream if added else 10.0 ** rng.uniform(-DECADES / 2, 0, layer.gamma.shape)
            stream = factor if layer.name.endswith("project_BN") else stream
            variance = np.asarray(layer.moving_variance) + layer.epsilon
            layer.moving_variance.assign(variance / factor**2 - layer.epsilon)
            scaled(layer, beta=factor)
        elif hasattr(layer, "kernel"):
            scaled(layer, kernel=1 / factor[:, np.newaxis])


def wide(model: keras.Model) -> None:
    """Scale and shift the channels of every residual stream, and adapt what reads them.

    Scales are spread over three decades, and every block adds up to `SHIFT` times the scale of its
    channel. Only convolutions of 1 x 1 pixel read a stream, and no activation ends it, so that the
    function stays the same.
    """
    rng = np.random.default_rng(4)
    sums = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)}
    factor, shift = np.ones(1), np.zeros(1)
    reading = np.zeros(1)
    for layer in model.layers:
        if layer.name.endswith("project_BN"):
            size = layer.gamma.shape
            if layer.name.replace("project_BN", "add") not in sums:
                factor, shift = 10.0 ** rng.uniform(-DECADES_WIDE / 2, DECADES_WIDE / 2, size), 0.0
            scaled(layer, gamma=factor, beta=factor)
            added = np.abs(np.asarray(layer.gamma)) * rng.uniform(-SHIFT, SHIFT, size)
            layer.beta.assign(np.asarray(layer.beta) + added)
            shift = shift + added
        elif layer.name.endswith("_expand") or layer.name == "Conv_1":
            scaled(layer, kernel=1 / factor[:, np.newaxis])
            reading = shift @ np.asarray(layer.kernel)[0, 0]
        elif layer.name.endswith("expand_BN") or layer.name == "Conv_1_bn":
            layer.moving_mean.assign(np.asarray(layer.moving_mean) + reading)


def dead(model: keras.Model) -> None:
    """Make the weakest channel of every block constantly zero."""
    for norm in model.layers:
        if norm.name.endswith(("expand_BN", "depthwise_BN")):
            gamma, beta = (np.asarray(variable).copy() for variable in (norm.gamma, norm.beta))
            faintest = np.abs(gamma).argmin()
            gamma[faintest], beta[faintest] = 0.0, -1.0
            norm.gamma.assign(gamma)
            norm.beta.assign(beta)


def outlier(model: keras.Model) -> None:
    """Scale one channel of a layer to a hundred times the others."""
    norm = model.get_layer("expanded_conv_project_BN")
    factor = np.ones(norm.gamma.shape)
    factor[3] = 100
    scaled(norm, gamma=factor, beta=factor)
    scaled(model.get_layer("block_1_expand"), kernel=1 / factor[:, np.newaxis])


HARD: dict[str, Callable[[keras.Model], None]] = {
    "spread": spread,
    "wide": wide,
    "dead": dead,
    "outlier": outlier,
}


def scaled(layer: Any, **factors: Array) -> None:
    """Multiply the named weights of a layer."""
    for name, factor in factors.items():
        variable = getattr(layer, name)
        variable.assign(np.asarray(variable) * factor)
