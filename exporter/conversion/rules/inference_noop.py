"""Rules for layers that do nothing at inference: augmentation, dropout, noise."""

from __future__ import annotations

from typing import Any

from kexport.conversion.builder import Graph
from kexport.conversion.rules.ops import on_floats
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


@on_floats
def augmentation(g: Graph, layer: Any, x: Any) -> Tensor:
    """Return the images as they are, for RandomFlip, MixUp, Solarization and the like.

    Some of these layers turn whole numbers into floats even at inference; whole numbers are traced,
    and so are images in a dict with their labels.
    """
    if not isinstance(x, Tensor):
        raise NoRule("images with labels")
    return x


def identity(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Return the input itself, for dropout, noise and the like."""
    return x
