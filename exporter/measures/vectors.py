"""Measures of embeddings: task embed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.measures.resample import DRAWS
from kexport.runtime.embed import Embedding

NEAREST = 5
"""The larger number of neighbours among which one of the same group is looked for."""


class Placed(NamedTuple):
    """What is kept of an answer: its vector, and the group of its image."""

    vector: Array
    group: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Recall at 1: how often the nearest of all other images belongs to the same group.

    Images of a group that has no other image are not asked for, but may be found (recall at k as in
    H. Oh Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding", 2016).
    """

    groups: tuple[int, ...]
    """The group of each image."""

    name = "recall_at_1"
    unseen = 2
    draws = DRAWS

    def keep(self, answer: Embedding, row: int) -> Placed:
        """Return vector and group."""
        return Placed(answer.vector, self.groups[row])

    def values(self, kept: Sequence[Placed], weights: Array) -> Array:
        """Compute recall at 1 for weights of the images, [draws]."""
        found, asked = recalls(kept, 1)
        missed = weights[:, len(kept) :][:, :1].sum(axis=1)
        seen = weights[:, : len(kept)]
        return np.asarray(seen @ found / (seen @ asked + missed))

    def drops(self, keras: Sequence[Placed], other: Sequence[Placed], weights: Array) -> Array:
        """Compute what the other loses of Keras' recall at 1, [draws].

        The unseen are images of which only Keras, or only the other, finds the group.
        """
        of_keras, asked = recalls(keras, 1)
        lost = of_keras.astype(np.float64) - recalls(other, 1)[0]
        seen, rest = weights[:, : len(keras)], weights[:, len(keras) :]
        if not rest.size:
            rest = np.zeros((len(weights), 2))
        return np.asarray(
            (seen @ lost + rest[:, 0] - rest[:, 1]) / (seen @ asked + rest.sum(axis=1))
        )

    def summary(self, kept: Sequence[Placed]) -> dict[str, float]:
        """Compute recall at 1 and at `NEAREST`.

        Raises:
            BadArgument: no two images belong together.
        """
        nearest, asked = recalls(kept, 1)
        if not asked.any():
            raise BadArgument(
                f"no two of the {len(kept)} labelled images that are used belong together",
                hint="give `calibration.eval_data` with several images in each subfolder",
            )
        some, _ = recalls(kept, NEAREST)
        one, more = (float(found.sum() / asked.sum()) for found in (nearest, some))
        return {"recall_at_1": one, f"recall_at_{NEAREST}": more}

    def predicted_drop(self, keras: Sequence[Placed], other: Sequence[Placed]) -> None:
        """Return nothing: which neighbour is nearest has no single margin."""
        del keras, other

    def doubt(self, kept: Sequence[Placed]) -> str | None:
        """Say that neighbours drawn at random would be right as often."""
        found, asked = recalls(kept, 1)
        counts = np.bincount([one.group for one in kept])
        others = np.array([counts[one.group] - 1 for one in kept]) / (len(kept) - 1)
        if found.sum() > others[asked].sum():
            return None
        return "finds the right neighbour no more often than chance"


def recalls(kept: Sequence[Placed], count: int) -> tuple[Array, Array]:
    """Return for each image whether the `count` nearest others have one of its group, bool [N].

    Nearest is the largest cosine, the first of equal ones, as in `runtime.embed.Gallery`. The
    second array says which images have another one of their group.
    """
    groups = np.array([one.group for one in kept])
    vectors = np.stack([one.vector for one in kept])
    lengths = np.linalg.norm(vectors, axis=1)
    products, scale = vectors @ vectors.T, np.outer(lengths, lengths)
    cosines = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(cosines, -np.inf)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    found = (groups[near] == groups[:, np.newaxis]).any(axis=1)
    return found, np.bincount(groups)[groups] > 1
