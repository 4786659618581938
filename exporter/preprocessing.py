"""Keras' own preprocessing of pictures, the reference that the graph has to match."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.applications.imagenet_utils import preprocess_input

Array = np.ndarray[Any, Any]


def prepare(images: Array, mode: str) -> Array:
    """What `preprocess_input` in a `mode` makes of uint8 pictures [N, H, W, C]: float32."""
    floats = images.astype(np.float32)
    if mode == "none":
        return floats
    return np.asarray(preprocess_input(floats, data_format="channels_last", mode=mode))
