"""Random operations of keras.ops in functional models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, decades, pick

ANY = (VECTOR, SERIES, IMAGE, VOLUME)
Unary = Callable[[Any], Any]

UNARY: dict[str, Unary] = {
    "ops.abs": ops.abs,
    "ops.absolute": ops.absolute,
    "ops.ceil": ops.ceil,
    "ops.clip": lambda x: ops.clip(x, -0.7, 0.4),
    "ops.cos": ops.cos,
    "ops.elu": lambda x: ops.elu(x, alpha=0.4),
    "ops.erf": ops.erf,
    "ops.exp": ops.exp,
    "ops.floor": ops.floor,
    "ops.gelu": ops.gelu,
    "ops.gelu tanh": lambda x: ops.gelu(x, approximate=True),
    "ops.gelu erf": lambda x: ops.gelu(x, approximate=False),
    "ops.hard_sigmoid": ops.hard_sigmoid,
    "ops.hard_silu": ops.hard_silu,
    "ops.hard_tanh": ops.hard_tanh,
    "ops.leaky_relu": lambda x: ops.leaky_relu(x, negative_slope=0.15),
    "ops.log": lambda x: ops.log(ops.square(x) + 1e-3),
    "ops.log_sigmoid": ops.log_sigmoid,
    "ops.log_softmax": ops.log_softmax,
    "ops.negative": ops.negative,
    "ops.power": lambda x: ops.power(ops.abs(x) + 0.1, 1.7),
    "ops.reciprocal": lambda x: ops.reciprocal(ops.abs(x) + 0.2),
    "ops.relu": ops.relu,
    "ops.relu6": ops.relu6,
    "ops.rsqrt": lambda x: ops.rsqrt(ops.square(x) + 0.1),
    "ops.selu": ops.selu,
    "ops.sigmoid": ops.sigmoid,
    "ops.sign": ops.sign,
    "ops.silu": ops.silu,
    "ops.sin": ops.sin,
    "ops.softmax": ops.softmax,
    "ops.softplus": ops.softplus,
    "ops.softsign": ops.softsign,
    "ops.sparse_plus": ops.sparse_plus,
    "ops.sparse_sigmoid": ops.sparse_sigmoid,
    "ops.sqrt": lambda x: ops.sqrt(ops.abs(x)),
    "ops.square": ops.square,
    "ops.tanh": ops.tanh,
    "ops.tanh_shrink": ops.tanh_shrink,
}

REDUCTIONS = {
    "ops.max": ops.max,
    "ops.amax": ops.amax,
    "ops.mean": ops.mean,
    "ops.min": ops.min,
    "ops.amin": ops.amin,
    "ops.prod": ops.prod,
    "ops.sum": ops.sum,
}


def _unary(function: Unary) -> Any:
    return lambda rng, x: function(x)


def _reduced(function: Any) -> Any:
    """Make a reduction of one axis, which is kept, so that the rank stays."""
    return lambda rng, x: function(x, axis=pick(rng, *range(1, len(x.shape))), keepdims=True)


def arithmetic(rng: Rng, x: Any) -> Any:
    """Add, subtract, multiply, divide, or take the larger or smaller of x and a number."""
    number = float(rng.normal() * decades(rng, -2, 2))
    return pick(
        rng,
        lambda: ops.add(x, number),
        lambda: ops.subtract(number, x),
        lambda: ops.subtract(x, number),
        lambda: ops.multiply(x, number),
        lambda: ops.divide(x, number),
        lambda: ops.true_divide(number, ops.add(ops.abs(x), 0.3)),
        lambda: ops.maximum(x, number),
        lambda: ops.minimum(x, number),
    )()


def gram(rng: Rng, x: Any) -> Any:
    """Multiply a matrix by its transpose."""
    return ops.matmul(x, ops.transpose(x, (0, 2, 1)))


def axes(rng: Rng, x: Any) -> Any:
    """Add an axis, and take it away after a transposition."""
    rank = len(x.shape)
    moved = ops.transpose(ops.expand_dims(x, 1), (0, *range(2, rank + 1), 1))
    return ops.squeeze(moved, -1)


def reshaped(rng: Rng, x: Any) -> Any:
    """Reverse the extents with a reshape."""
    return ops.reshape(x, (-1, *reversed(x.shape[1:])))


def resized(rng: Rng, x: Any) -> Any:
    """Resize images with an operation."""
    size = tuple(int(rng.integers(3, 11)) for _ in range(2))
    return ops.image.resize(x, size, interpolation=pick(rng, "bilinear", "nearest", "bicubic"))


KINDS = (
    *(Kind(name, "activation", ANY, _unary(function)) for name, function in UNARY.items()),
    *(Kind(name, "reduction", ANY, _reduced(function)) for name, function in REDUCTIONS.items()),
    Kind("ops arithmetic", "merge", ANY, arithmetic),
    Kind("ops.matmul", "dense", (SERIES,), gram),
    Kind("ops.squeeze", "shape", ANY, axes),
    Kind("ops.reshape", "shape", ANY, reshaped),
    Kind("ops.image.resize", "resize", (IMAGE,), resized),
)
