"""Masks of Keras: the attribute that tensors carry, and what `Layer.__call__` does with it."""

from __future__ import annotations

import inspect
from typing import Any

from keras.src import backend
from keras.src.layers.merging.base_merge import Merge
from keras.src.utils.python_utils import is_default


def mask_of(tensor: Any) -> Any:
    """Return the mask that a tensor of the backend carries, or None."""
    return backend.get_keras_mask(tensor)


def set_mask(tensor: Any, mask: Any) -> None:
    """Let a tensor of the backend carry a mask."""
    backend.set_keras_mask(tensor, mask)


def call_arguments(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a layer's call by name, with their defaults, in their order."""
    bound = inspect.signature(layer.call).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def computes_mask(layer: Any) -> bool:
    """Tell whether the class of a layer or model has a `compute_mask` of its own."""
    return not is_default(layer.compute_mask)


def passes_masks_on(layer: Any) -> bool:
    """Tell whether a layer computes the same with a mask as without, and leaves its input's mask.

    The call of such a layer takes no mask, and its `compute_mask` is that of every layer. Layers
    that merge tensors read the masks of their inputs without an argument.
    """
    if isinstance(layer, Merge) or computes_mask(layer):
        return False
    return not any(
        name == "mask" or name.endswith("_mask")
        for name in inspect.signature(layer.call).parameters
    )
