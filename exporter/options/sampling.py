"""Samples that a bundle is compared with Keras on: the user's own, or drawn in a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from kexport.errors import BadArgument

FEWEST = 4
"""The smallest number of own samples: an error is measured in units of what the outputs vary."""

KINDS = (".npz", ".npy")
"""Endings of files that hold samples as arrays."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a bundle is compared with Keras on.

    `samples` are one's own, which take the place of the ordinary ones that are otherwise drawn:
    for a model of one image a folder of images; for any other a folder with a subfolder for each
    input, in which files of one name are one sample; for both a .npz file or a mapping with an
    array for each input by name, batch first, images as uint8 [N, H, W, C] before preprocessing. Up
    to 32 are used. They become part of the bundle, in golden.npz. `ranges` has the lowest and the
    highest value of inputs that take numbers, by name, in which they are drawn: by default they are
    of a standard normal distribution, or as the first layers tell.

    Raises:
        BadArgument: a range that is none.
    """

    samples: str | Path | Mapping[str, Any] | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, ends in self.ranges.items():
            low, high = ends
            if not (isfinite(low) and isfinite(high) and low < high):
                raise BadArgument(
                    f"the range {low:g} to {high:g} of the input {name!r} is none",
                    hint="give `sampling.ranges` the lowest and the highest value",
                )

    def check(self) -> None:
        """Refuse samples that are not there, before Keras is loaded.

        Raises:
            BadArgument: the file or folder does not exist, or is of another kind.
        """
        if not isinstance(self.samples, (str, Path)):
            return
        path = Path(self.samples)
        if not path.exists():
            raise BadArgument(
                f"the samples {path} do not exist",
                hint="give a folder, or a .npz file with an array for each input",
            )
        if not path.is_dir() and path.suffix.lower() not in KINDS:
            raise BadArgument(
                f"the samples {path} are neither a folder nor a .npz file",
                hint="save them with numpy.savez, with an array for each input by name",
            )
