"""Functions of Keras 2 that have the name of another one in Keras 3."""

from __future__ import annotations

from typing import Any

from keras import ops


def keras2_hard_sigmoid(x: Any) -> Any:
    """Compute the `hard_sigmoid` of Keras 2, clip(0.2 x + 0.5, 0, 1); Keras 3's has slope 1/6."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)
