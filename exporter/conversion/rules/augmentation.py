"""Augmentation, which Keras leaves out at inference."""

from __future__ import annotations

from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.floats import on_floats
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


@on_floats
def augmentation(g: Graph, layer: Any, x: Any) -> Tensor:
    """RandomFlip, MixUp, Solarization and the like: the pictures as they are.

    Some of these layers make floats of whole numbers even so; whole numbers are traced, and so are
    pictures in a dict with their labels.
    """
    if not isinstance(x, Tensor):
        raise NoRule("pictures with labels")
    return x
