"""What makes random weights as well conditioned as trained ones.

A deep network of independent random weights amplifies every difference, that of rounding too: "a
mean field theory of batch normalization" (G. Yang et al., 2019) gives the rate for each layer, and
over fifty layers it comes to a factor of 10 to 100. Trained networks do not do that. Three of the
traits that spare them are copied here: kernels that vary little over a window, kernels that look
where the signal is, and residual branches that add little to their trunk.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

SMOOTH = 0.8
"""Share of a kernel's variance that is a smooth window times a random mixture of channels."""

FILTERED = 0.5
"""Share of a kernel's variance that is filtered by what reaches the layer."""

NOISE = 0.1
"""Noise that the filter expects in each direction, in units of the mean variance of a channel."""

VECTORS = 256
"""Number of places at which the filter looks at a layer's input."""

FEWEST_CHANNELS = 16
"""Inputs of fewer channels, such as pictures, have no direction to spare."""

Floats = npt.NDArray[np.float32]

_BENDING = frozenset(
    {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"}  # layers
    | {"Relu", "Relu6", "LeakyRelu", "Elu", "Silu", "Gelu", "HardSilu"}  # operations
)
_ADDING = frozenset({"Add", "CustomScaleLayer"})
_PASSING = frozenset({"Dropout", "StochasticDepth", "LayerScale"})
_FRESH = frozenset({"BatchNormalization", "Conv2D"})


def smooth(kernel: Floats, mixture: Floats) -> Floats:
    """Mix a kernel [*window, ...] with a Gaussian window times `mixture` [...], by `SMOOTH`.

    Pictures have most of their variance at low frequencies (D. J. Field, 1987), rounding has it
    evenly: a smooth kernel passes more of the former. Both parts have the same mean square.
    """
    window = np.ones(())
    for size in kernel.shape[: kernel.ndim - mixture.ndim]:
        place = (np.arange(size) - (size - 1) / 2) / max(size / 3, 0.5)
        window = np.multiply.outer(window, np.exp(-(place**2) / 2))
    window /= np.sqrt(np.mean(window**2))
    mixed = np.sqrt(SMOOTH) * np.multiply.outer(window, mixture) + np.sqrt(1 - SMOOTH) * kernel
    return np.asarray(mixed, np.float32)


def filtered(kernel: Floats, inputs: npt.NDArray[Any], rng: np.random.Generator) -> Floats:
    """Turn a kernel [..., C, outputs] partly towards the directions of most of `inputs` [..., C].

    Each column w becomes S (S + n I)^-1 w, S the inputs' covariance: N. Wiener's filter, with a
    noise n of `NOISE`. Gradient descent leaves such kernels behind, for every step that it makes is
    a sum of inputs. `FILTERED` of the variance is that, the rest is as it was.
    """
    channels = kernel.shape[-2]
    if channels < FEWEST_CHANNELS:
        return kernel
    flat = inputs.reshape(-1, channels)
    if len(flat) > VECTORS:
        flat = flat[rng.integers(len(flat), size=VECTORS)]
    given = flat.astype(np.float64)
    rows = given - given.mean(axis=0)
    power = float(np.mean(rows**2))
    if power <= 1e-8 * np.mean(given**2):
        return kernel
    inner = rows @ rows.T + NOISE * power * len(rows) * np.eye(len(rows))
    columns = np.moveaxis(kernel, -2, 0).reshape(channels, -1)
    single = rows.astype(np.float32)
    turned = single.T @ np.linalg.solve(inner, single @ columns).astype(np.float32)
    turned *= np.sqrt(np.mean(columns**2) / max(float(np.mean(turned**2)), 1e-30))
    mixed = np.sqrt(FILTERED) * turned + np.sqrt(1 - FILTERED) * columns
    shape = (channels, *kernel.shape[:-2], kernel.shape[-1])
    return np.ascontiguousarray(np.moveaxis(mixed.reshape(shape), 0, -2), np.float32)


def bends(layer: Any) -> bool:
    """Whether an activation reads the layer's output."""
    return any(type(call.operation).__name__ in _BENDING for call in _readers(layer))


def ends_branch(layer: Any) -> bool:
    """Whether the layer's output is only added to something, as a residual branch is.

    Where all summands come fresh from such layers, the first of them is the trunk.
    """
    calls = _readers(layer)
    while len(calls) == 1 and type(calls[0].operation).__name__ in _PASSING:
        layer, calls = calls[0].operation, _readers(calls[0].operation)
    if len(calls) != 1 or type(calls[0].operation).__name__ not in _ADDING:
        return False
    summands = [symbol._keras_history.operation for symbol in calls[0].input_tensors]
    fresh = all(type(s).__name__ in _FRESH and len(_readers(s)) == 1 for s in summands)
    return len(summands) > 1 and not (fresh and summands[0] is layer)


def normalised(layer: Any) -> bool:
    """Whether a BatchNormalization reads the layer's output, and its scale does not matter."""
    return any(type(call.operation).__name__ == "BatchNormalization" for call in _readers(layer))


def _readers(layer: Any) -> list[Any]:
    """The calls that take the layer's output."""
    return list(getattr(layer, "_outbound_nodes", ()))
