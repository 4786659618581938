"""Encoding of decoded images in the input format of a graph."""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array
from kexport.options.image_input import ImageInput
from kexport.runtime.pixel_formats import encode


def encode_images(images: Array, pixels: ImageInput) -> Array:
    """Convert RGB or grey images, uint8 or float32 [N, H, W, C], to the format of a graph.

    Images that are in that format already are returned as they are, so that a memory map stays one.
    """
    channels = images.shape[-1]
    chosen = pixels.of_channels(channels)
    own_color = "GRAY" if channels == 1 else "RGB"
    if (chosen.color, chosen.layout) == (own_color, "nhwc") and chosen.dtype == images.dtype:
        return images
    rows = (encode(image, chosen.color, chosen.layout.upper(), chosen.dtype) for image in images)
    return np.stack(list(rows))
