"""Keras promotes whole numbers where ONNX does not, so the rules of keras.ops leave them alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import keras

from kexport.conversion.graph import Graph
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule

Rule = Callable[..., Tensor]


def on_floats(rule: Rule) -> Rule:
    """`rule`, for calls whose tensors are all of one floating-point type; others are traced."""

    @wraps(rule)
    def guarded(g: Graph, operation: Any, *args: Any) -> Tensor:
        found = {x.value.dtype for x in keras.tree.flatten(args) if isinstance(x, Tensor)}
        if len(found) != 1 or not all(dtype and dtype.is_floating_point() for dtype in found):
            raise NoRule("tensors that are not of one floating-point type")
        return rule(g, operation, *args)

    return guarded
