"""Images as answers (task image): what a denoiser, an autoencoder or a super-resolution gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OutputImage:
    """An image that the model gives, uint8 [h, w, 1 or 3], in the size that the model gives."""

    pixels: NDArray[np.uint8]

    columns = ("width", "height", "channels")

    def rows(self) -> list[tuple[str, ...]]:
        """Return one row of texts, in the order of `columns`."""
        height, width, channels = self.pixels.shape
        return [(str(width), str(height), str(channels))]

    def entry(self) -> dict[str, Any]:
        """Return the sizes as JSON has them; `save` keeps the pixels."""
        height, width, channels = self.pixels.shape
        return {"image": {"height": height, "width": width, "channels": channels}}


def image_of(values: NDArray[Any], least: float, largest: float) -> OutputImage:
    """Return [h, w, channels] as bytes: `least` becomes 0, `largest` 255.

    Values between are rounded to the nearest byte, halves to the even one; others are clipped.
    """
    share = (values.astype(np.float64) - least) / (largest - least)
    return OutputImage(np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8))
