"""Kernels of layers, with what LoRA adds to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.keras_graph import without_lora


def kernel(
    g: Graph, layer: Any, change: Callable[[Array], Array] | None = None, *, form: str = ""
) -> ir.Value:
    """Add the kernel of a layer.

    With LoRA (Hu et al., 2021) it is the kernel that Keras merges with each call, W + s * A @ B,
    where s is `lora_alpha / lora_rank`.

    Args:
        g: the graph.
        layer: a layer with a `kernel`.
        change: what to do to the values, such as a transposition.
        form: a name for `change`.
    """
    if not getattr(layer, "lora_enabled", False):
        return g.weight(layer.kernel, "kernel", change, form=form)

    def merged(base: Array) -> Array:
        product = keras.ops.matmul(layer.lora_kernel_a, layer.lora_kernel_b)
        scale = layer.lora_alpha / layer.lora_rank
        total: Array = base + scale * keras.ops.convert_to_numpy(product).astype(base.dtype)
        return total if change is None else change(total)

    return g.weight(without_lora(layer), "kernel", merged, form=f"{form} with LoRA")


def outputs_first(kernel: Array) -> Array:
    """Transpose (*window, in, out) to (out, in, *window)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))
