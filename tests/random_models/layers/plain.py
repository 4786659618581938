"""Layers whose arguments are not drawn: as in the list of examples."""

from __future__ import annotations

from typing import Any

from keras import layers
from layer_examples import EXAMPLES, Example

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
    pooling,
    recurrent,
    shape,
)

FIRST = frozenset({"CategoryEncoding", "Embedding", "ReversibleEmbedding"})
"""Layers that read whole numbers, so the first of a model; `random_models.build` makes them."""

DRAWN = {
    kind.name
    for table in (
        *(activation, attention, convolution, dense, image, merge),
        *(normalization, operation, pooling, recurrent, shape),
    )
    for kind in table.KINDS
}

FAMILIES = {"Lambda": "activation", "ConvLSTM3D": "recurrent", "RNN": "recurrent"}

TRACED = frozenset(
    {"ConvLSTM3D", "ContrastLimitedAdaptiveHistogramEqualization", "Lambda", "RNN"}
    | {"STFTSpectrogram"}
)


def _apply(example: Example) -> Any:
    return lambda rng, x: example.make()(x)


def _kind(name: str, example: Example) -> Kind:
    ranks = (len(example.shapes[0]) + 1,)
    family = FAMILIES.get(name, "identity" if hasattr(layers, name) else "shape")
    return Kind(name, family, ranks, _apply(example), name in TRACED)


KINDS = tuple(
    _kind(name, example)
    for name, example in EXAMPLES.items()
    if name not in DRAWN and name not in FIRST
)
