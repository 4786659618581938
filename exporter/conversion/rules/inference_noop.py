"""Augmentation, which Keras leaves out at inference."""

from __future__ import annotations

from typing import Any

from kexport.conversion.builder import Graph
from kexport.conversion.rules.ops import on_floats
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


@on_floats
def augmentation(g: Graph, layer: Any, x: Any) -> Tensor:
    """RandomFlip, MixUp, Solarization and the like: the images as they are.

    Some of these layers make floats of whole numbers even so; whole numbers are traced, and so are
    images in a dict with their labels.
    """
    if not isinstance(x, Tensor):
        raise NoRule("images with labels")
    return x


def identity(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Dropout, noise and the like: the input itself."""
    return x
