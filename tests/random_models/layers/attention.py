"""Random attention of a sequence to itself or to a branch of it."""

from __future__ import annotations

from typing import Any

from keras import layers

from random_models.kind import SERIES, Kind, Rng, chance, pick
from random_models.layers.merge import branch


def multi_head(rng: Rng, x: Any) -> Any:
    """Apply a MultiHeadAttention."""
    layer = layers.MultiHeadAttention(
        pick(rng, 1, 2, 3),
        int(rng.integers(2, 5)),
        value_dim=pick(rng, None, 3),
        use_bias=chance(rng, 0.8),
    )
    return layer(x, _other(rng, x), use_causal_mask=chance(rng, 0.3))


def grouped(rng: Rng, x: Any) -> Any:
    """Apply a GroupQueryAttention."""
    return layers.GroupQueryAttention(3, 4, 2, use_bias=chance(rng, 0.8))(x, _other(rng, x))


def product(rng: Rng, x: Any) -> Any:
    """Apply an Attention with scores of products or of sums."""
    mode = pick(rng, "dot", "dot", "concat")
    layer = layers.Attention(use_scale=chance(rng, 0.5), score_mode=mode)
    return layer([x, _other(rng, x)], use_causal_mask=chance(rng, 0.3))


def additive(rng: Rng, x: Any) -> Any:
    """Apply an AdditiveAttention."""
    return layers.AdditiveAttention(use_scale=chance(rng, 0.7))([x, _other(rng, x)])


def _other(rng: Rng, x: Any) -> Any:
    return x if chance(rng, 0.5) else branch(rng, x)


KINDS = (
    Kind("MultiHeadAttention", "attention", (SERIES,), multi_head, traced=True),
    Kind("GroupedQueryAttention", "attention", (SERIES,), grouped, traced=True),
    Kind("Attention", "attention", (SERIES,), product, traced=True),
    Kind("AdditiveAttention", "attention", (SERIES,), additive, traced=True),
)
