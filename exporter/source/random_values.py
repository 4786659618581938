"""Random values of one weight, drawn so that networks are as well conditioned as trained ones.

A deep network of independent random weights amplifies every difference, including rounding: "a
mean field theory of batch normalization" (G. Yang et al., 2019) gives the rate for each layer, and
over fifty layers it comes to a factor of 10 to 100. Trained networks do not do that. Three of their
traits that prevent it are copied here: kernels that vary little over a window, kernels that point
to where the signal is, and residual branches that add little to their trunk.

OPENING, BRANCH, SMOOTH, FILTERED, NOISE and the ranges in `draw_value` were chosen by experiment:
with them float16 stays within 1e-2 of Keras on the deepest Applications, and answers still differ
between images. tests/source/test_random_values.py and tests/test_families.py hold these properties.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kexport.keras_graph import producer, readers
from kexport.zoo import IMAGENET_DEVIATION, IMAGENET_MEAN

OPENING = 0.8
"""Mean of the input of an activation, in standard deviations: most units of a ReLU stay active."""

BRANCH = 0.4
"""Standard deviation of the output that a residual branch adds to its trunk of deviation 1."""

SMOOTH = 0.8
"""Share of a kernel's variance that is a smooth window times a random mixture of channels."""

FILTERED = 0.5
"""Share of a kernel's variance that is filtered by the inputs of the layer."""

NOISE = 0.1
"""Noise that the filter expects in each direction, in units of the mean variance of a channel."""

VECTORS = 256
"""Number of positions at which the filter samples a layer's input. The filter solves a system of
this size for each layer."""

FEWEST_CHANNELS = 16
"""Fewest channels that the filter applies to: an image has too few directions to drop any."""

IMAGENET_VARIANCE = tuple(deviation**2 for deviation in IMAGENET_DEVIATION)

WITH_KERNEL = frozenset(
    {"Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"}
    | {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D"}
    | {"SeparableConv2D"}
)
"""Layers of Keras that multiply by a kernel."""

Floats = npt.NDArray[np.float32]

_NORMALIZING = frozenset({"BatchNormalization", "LayerNormalization", "GroupNormalization"})
_BENDING = frozenset(
    {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"}  # layers
    | {"Relu", "Relu6", "LeakyRelu", "Elu", "Silu", "Gelu", "HardSilu"}  # operations
)
_ADDING = frozenset({"Add", "CustomScaleLayer"})
_TRANSPARENT = frozenset({"Dropout", "StochasticDepth", "LayerScale"})
_PROJECTING = frozenset({"BatchNormalization", "Conv2D"})


def draw_value(rng: np.random.Generator, name: str, shape: tuple[int, ...], owner: Any) -> Floats:
    """Draw one variable, by its role in its layer.

    A BatchNormalization before an activation shifts by `OPENING`: with a shift of zero every layer
    amplifies all differences, including rounding. One at the end of a residual branch is small, as
    S. De and S. Smith find in trained networks ("Batch normalization biases residual blocks towards
    the identity function", 2020).
    """
    kind = type(owner).__name__
    if name == "gamma" and kind not in _NORMALIZING:
        return _uniform(rng, shape, 0.3, 0.9)
    if name == "gamma":
        size = BRANCH if ends_branch(owner) else 1.0
        return _uniform(rng, shape, 0.7 * size, 1.3 * size)
    if name == "beta":
        return normal(rng, shape, 0.2) + np.float32(OPENING * bends(owner))
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
        return smooth(kernel, sign * _uniform(rng, shape[-2:], 0.7, 1.3) * deviation)
    return smooth(kernel, normal(rng, shape[-2:], deviation))


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
    """Draw independent normal numbers around zero."""
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Floats:
    return rng.uniform(low, high, shape).astype(np.float32)


def _imagenet(values: tuple[float, ...], shape: tuple[int, ...], *, otherwise: float) -> Floats:
    """Return the statistics of pixels 0..1 in EfficientNet's Normalization layer."""
    return np.array(values if shape == (3,) else np.full(shape, otherwise), np.float32)


def smooth(kernel: Floats, mixture: Floats) -> Floats:
    """Mix a kernel [*window, ...] with a Gaussian window times `mixture` [...], by `SMOOTH`.

    Images have most of their variance at low frequencies (D. J. Field, 1987), rounding at all
    frequencies alike: a smooth kernel passes more of the images. Both parts have the same mean
    square.
    """
    window = np.ones(())
    for size in kernel.shape[: kernel.ndim - mixture.ndim]:
        place = (np.arange(size) - (size - 1) / 2) / max(size / 3, 0.5)
        window = np.multiply.outer(window, np.exp(-(place**2) / 2))
    window /= np.sqrt(np.mean(window**2))
    mixed = np.sqrt(SMOOTH) * np.multiply.outer(window, mixture) + np.sqrt(1 - SMOOTH) * kernel
    return np.asarray(mixed, np.float32)


def filtered(kernel: Floats, inputs: npt.NDArray[Any], rng: np.random.Generator) -> Floats:
    """Turn a kernel [..., C, outputs] partly towards the main directions of `inputs` [..., C].

    Each column w becomes S (S + n I)^-1 w, where S is the inputs' covariance: N. Wiener's filter,
    with a noise n of `NOISE`. Gradient descent leads to such kernels, since each of its steps is a
    sum of inputs. A share `FILTERED` of the variance is filtered, the rest stays as it was.
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
    """Tell whether an activation reads the layer's output."""
    return any(type(call.operation).__name__ in _BENDING for call in readers(layer))


def ends_branch(layer: Any) -> bool:
    """Tell whether the layer's output is only added to something, as that of a residual branch.

    Where every summand comes from a convolution or a normalization that nothing else reads, as in
    a projection shortcut, the first summand is the trunk.
    """
    calls = readers(layer)
    while len(calls) == 1 and type(calls[0].operation).__name__ in _TRANSPARENT:
        layer, calls = calls[0].operation, readers(calls[0].operation)
    if len(calls) != 1 or type(calls[0].operation).__name__ not in _ADDING:
        return False
    summands = [producer(symbol)[0] for symbol in calls[0].input_tensors]
    projecting = all(type(s).__name__ in _PROJECTING and len(readers(s)) == 1 for s in summands)
    return len(summands) > 1 and not (projecting and summands[0] is layer)


def normalised(layer: Any) -> bool:
    """Tell whether a BatchNormalization reads the layer's output, so that its scale is free."""
    return any(type(call.operation).__name__ == "BatchNormalization" for call in readers(layer))
