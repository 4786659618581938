"""Measures of embeddings: task embed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kexport.arrays import Array
from kexport.errors import BadArgument
from kexport.measures.resample import DRAWS
from kexport.runtime.embed import Embedding, Gallery

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
        lost = recalls(keras, 1)[0].astype(np.float64) - recalls(other, 1)[0]
        asked = recalls(keras, 1)[1]
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
        asked = recalls(kept, 1)[1]
        if not asked.any():
            raise BadArgument(
                f"no two of the {len(kept)} labelled images that are used belong together",
                hint="give `calibration.eval_data` with several images in each subfolder",
            )
        one, some = (float(recalls(kept, count)[0].sum() / asked.sum()) for count in (1, NEAREST))
        return {"recall_at_1": one, f"recall_at_{NEAREST}": some}

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

    The second array says which images have another one of their group.
    """
    groups = np.array([one.group for one in kept])
    gallery = Gallery(tuple(map(str, range(len(kept)))), np.stack([one.vector for one in kept]))
    found = np.zeros(len(kept), bool)
    for place, one in enumerate(kept):
        near = [int(each.name) for each in gallery.nearest(one.vector, count + 1)]
        others = [each for each in near if each != place][:count]
        found[place] = (groups[others] == one.group).any()
    return found, np.bincount(groups)[groups] > 1
