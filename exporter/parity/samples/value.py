"""Samples and probes: the same inputs for the bundle and for Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kexport.arrays import Array
from kexport.options.input_image import InputImage


@dataclass(frozen=True, slots=True)
class Probe:
    """Further inputs of other sizes: compared with Keras when a bundle is made, and not stored.

    `name` says in plain words how they differ, such as "height 95, width 131". `raw` and `prepared`
    are as in `Samples`.
    """

    name: str
    raw: Mapping[str, Array]
    prepared: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs for both sides of the comparison.

    `raw` has the bundle's inputs by name, batch first; those among `images` are in the formats of
    these. `prepared` has the same samples for Keras, in the order of the model's inputs: images
    decoded, resized and preprocessed.
    """

    raw: Mapping[str, Array]
    prepared: tuple[Array, ...]
    images: tuple[InputImage, ...]
    """The inputs that are images, in the order of the inputs."""
    ordinary: int
    """How many of the first samples are ordinary ones. Those after them are hard: constants,
    extremes, masks. An error is measured in units of the spread of the ordinary ones' outputs."""
    probes: tuple[Probe, ...] = ()
    left_out: tuple[str, ...] = ()
    """Hard samples for which Keras itself gives no usable numbers, and why, in words."""
    own: bool = False
    """Whether the ordinary ones are the user's."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The range that was told of inputs that are no images."""
    discrete: frozenset[int] = frozenset()
    """Places of the inputs whose numbers are ids or masks, which no rounding changes."""

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.prepared[0])

    @property
    def only_image(self) -> InputImage | None:
        """The image that is the only input; None for a model of anything else."""
        return self.images[0] if self.images and len(self.raw) == 1 else None

    def size(self, image: InputImage) -> tuple[int, int] | None:
        """Height and width that the graph resizes an image to; None if it does not resize."""
        if image.pixels.resize is None:
            return None
        height, width = self.prepared[image.place].shape[1:3]
        return height, width

    def with_golden(self, raw: Mapping[str, Array], prepared: Sequence[Array]) -> Samples:
        """Return other samples, with these as a probe: compared, and not stored.

        Args:
            raw: samples of each input by name, as the graph takes them, batch first.
            prepared: the same as Keras takes them.
        """
        return replace(
            self,
            raw=raw,
            prepared=tuple(prepared),
            ordinary=len(prepared[0]),
            probes=(Probe("the drawn images", self.raw, self.prepared), *self.probes),
        )

    def without(self, reasons: Mapping[int, str]) -> Samples:
        """Return the samples less those at some places, and why, among `left_out`."""
        kept = [place for place in range(self.count) if place not in reasons]
        return replace(
            self,
            raw={name: array[kept] for name, array in self.raw.items()},
            prepared=tuple(array[kept] for array in self.prepared),
            ordinary=sum(place < self.ordinary for place in kept),
            left_out=(
                *self.left_out,
                *(f"sample {place}: {reasons[place]}" for place in sorted(reasons)),
            ),
        )

    def batches(self, batch: int | None) -> list[dict[str, Array]]:
        """Return the raw inputs in runs of a fixed batch, or all in one for an open batch.

        The last run of a fixed batch is filled up with the first samples.
        """
        if batch is None:
            return [dict(self.raw)]
        starts = range(0, self.count, batch)
        places = [np.arange(start, start + batch) % self.count for start in starts]
        return [{name: array[rows] for name, array in self.raw.items()} for rows in places]
