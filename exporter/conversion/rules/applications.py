"""Layers that keras.applications defines for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import parameter, together
from kexport.conversion.tensor import Tensor


def custom_scale(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """InceptionResNetV2's CustomScaleLayer: inputs[0] + inputs[1] * scale."""
    (base, residual), order = together(g, inputs)
    scaled = g.op("Mul", residual, g.floats(float(layer.scale), "scale", residual))
    return Tensor(g.op("Add", base, scaled), order)


def layer_scale(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """ConvNeXt's LayerScale (Touvron et al., 2021): x * gamma, one number a channel."""
    gamma = parameter(g, layer.gamma, "gamma", x, [-1])
    return Tensor(g.op("Mul", x.value, gamma), x.order)
