"""Layers that do nothing at inference."""

from __future__ import annotations

from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.tensor import Tensor


def identity(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Dropout, noise and the like: the input itself."""
    return x
