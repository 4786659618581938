"""Random values for one variable of a Keras layer, by the part that it plays there."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kexport import conditioning

OPENING = 0.8
"""Mean of what reaches an activation, in deviations: most units of a ReLU stay open."""

BRANCH = 0.4
"""Deviation of what a residual branch adds to its trunk."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_VARIANCE = (0.229**2, 0.224**2, 0.225**2)

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
        size = BRANCH if conditioning.ends_branch(owner) else 1.0
        return _uniform(rng, shape, 0.7 * size, 1.3 * size)
    if name == "beta":
        return normal(rng, shape, 0.2) + np.float32(OPENING * conditioning.bends(owner))
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
        return conditioning.smooth(kernel, sign * _uniform(rng, shape[-2:], 0.7, 1.3) * deviation)
    return conditioning.smooth(kernel, normal(rng, shape[-2:], deviation))


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
