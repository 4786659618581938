"""Operations of TensorFlow that tf2onnx does not know, or writes wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Handler = Callable[[Any, Any, str, Any], None]


def _erfc(context: Any, node: Any, name: str, args: Any) -> None:
    """Write Erfc(x) as 1 - Erf(x) for tf2onnx, which only knows Erf."""
    del name, args
    output = node.output[0]
    shape, dtype = context.get_shape(output), context.get_dtype(output)
    one = context.make_const(f"{node.name}_one", np.array(1.0, np.float32)).output[0]
    erf = context.make_node("Erf", [node.input[0]]).output[0]
    context.remove_node(node.name)
    context.make_node(
        "Sub", [one, erf], name=node.name, outputs=[output], shapes=[shape], dtypes=[dtype]
    )


HANDLERS: dict[str, Handler] = {"Erfc": _erfc}
"""Handlers by the name of the operation; each replaces the node by nodes of ONNX."""
