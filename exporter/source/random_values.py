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

from kexport.source import random_values
from kexport.zoo import IMAGENET_DEVIATION, IMAGENET_MEAN

OPENING = 0.8
"""Mean of what reaches an activation, in deviations: most units of a ReLU stay open."""

BRANCH = 0.4
"""Deviation of what a residual branch adds to its trunk."""

IMAGENET_VARIANCE = tuple(deviation**2 for deviation in IMAGENET_DEVIATION)

WITH_KERNEL = frozenset(
    {"Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"}
    | {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D"}
    | {"SeparableConv2D"}
)
"""Layers of Keras that multiply by a kernel."""

Floats = npt.NDArray[np.float32]

_NORMALISING = frozenset({"BatchNormalization", "LayerNormalization", "GroupNormalization"})


def draw_value(rng: np.random.Generator, name: str, shape: tuple[int, ...], owner: Any) -> Floats:
    """Draw one variable by the part it plays in its layer.

    A BatchNormalization before an activation shifts by `OPENING`: with a shift of zero every layer
    amplifies all differences, rounding too. One at the end of a residual branch is small, as S. De
    and S. Smith find in trained networks ("Batch normalization biases residual blocks towards the
    identity function", 2020).
    """
    kind = type(owner).__name__
    if name == "gamma" and kind not in _NORMALISING:
        return _uniform(rng, shape, 0.3, 0.9)
    if name == "gamma":
        size = BRANCH if random_values.ends_branch(owner) else 1.0
        return _uniform(rng, shape, 0.7 * size, 1.3 * size)
    if name == "beta":
        return normal(rng, shape, 0.2) + np.float32(OPENING * random_values.bends(owner))
    if name == "moving_variance":
        return _uniform(rng, shape, 0.5, 1.5)
    if name == "alpha":
        return _uniform(rng, shape, 0.1, 0.4)
    if name == "mean":
        return _imagenet(IMAGENET_MEAN, shape, otherwise=0)
    if name == "variance":
        return _imagenet(IMAGENET_VARIANCE, shape, otherwise=1)
    if kind in WITH_KERNEL and name.endswith("kernel"):
        return _kernel(rng, name, shape, owner)
    known = {"bias": 0.1, "moving_mean": 0.1, "embeddings": 1.0}
    return normal(rng, shape, known.get(name) or np.sqrt(2 / _fan_in(name, shape, owner)))


def _kernel(rng: np.random.Generator, name: str, shape: tuple[int, ...], owner: Any) -> Floats:
    """Draw a kernel that is smooth over its window, if it has one."""
    deviation = np.sqrt(2 / _fan_in(name, shape, owner))
    kernel = normal(rng, shape, deviation)
    if name == "pointwise_kernel" or np.prod(shape[:-2]) == 1:
        return kernel
    if name == "depthwise_kernel" or type(owner).__name__.startswith("DepthwiseConv"):
        sign = rng.choice(np.array([-1, 1], np.float32), shape[-2:])
        return random_values.smooth(kernel, sign * _uniform(rng, shape[-2:], 0.7, 1.3) * deviation)
    return random_values.smooth(kernel, normal(rng, shape[-2:], deviation))


def _fan_in(name: str, shape: tuple[int, ...], owner: Any) -> float:
    """Count the inputs that a kernel sums into one output."""
    kind = type(owner).__name__
    if name == "depthwise_kernel" or kind.startswith("DepthwiseConv"):
        return float(np.prod(shape[:-2]))
    if kind.endswith("Transpose"):
        overlap = float(np.prod(shape[:-2])) / float(np.prod(owner.strides))
        return max(1.0, overlap) * shape[-1]
    return max(1.0, float(np.prod(shape[:-1])))


def normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Floats:
    """Independent normal numbers around zero."""
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Floats:
    return rng.uniform(low, high, shape).astype(np.float32)


def _imagenet(values: tuple[float, ...], shape: tuple[int, ...], *, otherwise: float) -> Floats:
    """The statistics that EfficientNet's Normalization layer holds of pixels 0..1."""
    return np.array(values if shape == (3,) else np.full(shape, otherwise), np.float32)


SMOOTH = 0.8
"""Share of a kernel's variance that is a smooth window times a random mixture of channels."""

FILTERED = 0.5
"""Share of a kernel's variance that is filtered by what reaches the layer."""

NOISE = 0.1
"""Noise that the filter expects in each direction, in units of the mean variance of a channel."""

VECTORS = 256
"""Number of places at which the filter looks at a layer's input."""

FEWEST_CHANNELS = 16
"""Inputs of fewer channels, such as images, have no direction to spare."""

_BENDING = frozenset(
    {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"}  # layers
    | {"Relu", "Relu6", "LeakyRelu", "Elu", "Silu", "Gelu", "HardSilu"}  # operations
)
_ADDING = frozenset({"Add", "CustomScaleLayer"})
_PASSING = frozenset({"Dropout", "StochasticDepth", "LayerScale"})
_FRESH = frozenset({"BatchNormalization", "Conv2D"})


def smooth(kernel: Floats, mixture: Floats) -> Floats:
    """Mix a kernel [*window, ...] with a Gaussian window times `mixture` [...], by `SMOOTH`.

    Images have most of their variance at low frequencies (D. J. Field, 1987), rounding has it
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
