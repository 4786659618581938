"""The tables of random layers, one file for each family."""

from __future__ import annotations

from random_models.kind import Kind
from random_models.layers import (
    activation,
    attention,
    convolution,
    dense,
    image,
    merge,
    normalization,
    operation,
    plain,
    pooling,
    recurrent,
    shape,
)

KINDS: tuple[Kind, ...] = (
    *convolution.KINDS,
    *pooling.KINDS,
    *normalization.KINDS,
    *activation.KINDS,
    *operation.KINDS,
    *dense.KINDS,
    *merge.KINDS,
    *shape.KINDS,
    *image.KINDS,
    *recurrent.KINDS,
    *attention.KINDS,
    *plain.KINDS,
)
"""Every kind of layer that a random model may have."""
