"""Nodes of ONNX in the place of one of TensorFlow, for handlers of tf2onnx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from kexport.arrays import Array

Handler = Callable[[Any, Any, str, Any], None]


class Nodes:
    """Nodes that take the place of one of TensorFlow, written as calls."""

    def __init__(self, context: Any, node: Any) -> None:
        self.context, self.node = context, node
        self.inputs: list[str] = list(node.input)
        self.dtype: int = context.get_dtype(node.input[0])

    def __call__(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of ONNX, and return its output."""
        name: str = self.context.make_node(op_type, list(inputs), attr=attributes).output[0]
        return name

    def constant(self, value: Any, dtype: int | None = None) -> str:
        """Add a constant of the type of the first input, or of `dtype`."""
        kind = tensor_dtype_to_np_dtype(self.dtype if dtype is None else dtype)
        array: Array = np.asarray(value, kind)
        name = f"{self.node.name}_constant_{len(self.context.get_nodes())}"
        output: str = self.context.make_const(name, array).output[0]
        return output

    def value_of(self, place: int) -> Array | None:
        """Return the value of an input that is constant."""
        source = self.node.inputs[place]
        value: Array | None = source.get_tensor_value(as_list=False) if source.is_const() else None
        return value

    def finish(self, result: str) -> None:
        """Let `result` take the place of the node's output."""
        context, node = self.context, self.node
        output = node.output[0]
        shapes, dtypes = [context.get_shape(output)], [context.get_dtype(output)]
        context.remove_node(node.name)
        context.make_node(
            "Identity", [result], name=node.name, outputs=[output], shapes=shapes, dtypes=dtypes
        )


def written(write: Callable[[Nodes], str]) -> Handler:
    """Make a handler of a function that writes the nodes and returns their result."""

    def handler(context: Any, node: Any, name: str, args: Any) -> None:
        nodes = Nodes(context, node)
        nodes.finish(write(nodes))

    return handler
