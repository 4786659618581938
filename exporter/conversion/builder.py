"""ONNX graph under construction: names, weights, shapes and layouts in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.conversion.tensor import Tensor, as_keras, shape_of
from kexport.graph.names import free_name
from kexport.graph.shapes import extents, infer_outputs, merged

OPSET = 20
"""Opset that conversion writes; `passes.convert_opset` lowers it for older targets."""

IR_VERSION = 9
"""IR version that goes with opset 20 (onnx/docs/Versioning.md)."""

Number = int | float


class Graph:
    """An ONNX graph under construction."""

    def __init__(self, name: str) -> None:
        self.traced: list[str] = []
        """Names of the layers that went through tf2onnx."""
        self.masks: dict[Tensor, Tensor] = {}
        """The mask of each tensor that has one (`conversion.masks`)."""
        self.ir = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name)
        """The graph that nodes go to: the model's, or within `body` that of a Scan."""
        self._main = self.ir
        self._scopes: list[str] = []
        self._taken: set[str] = set()
        self._transposed: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}
        self._weights: dict[tuple[int, str], ir.Value] = {}
        self._keep_alive: list[Any] = []

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of everything emitted inside with the name of a Keras layer."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def name(self, leaf: str) -> str:
        """Make a name for `leaf` in the current scope that no other value or node has."""
        name = free_name("/".join([*self._scopes, leaf]), self._taken)
        self._taken.add(name)
        return name

    @contextmanager
    def body(self) -> Iterator[ir.Graph]:
        """Emit the nodes of a body instead of the model's; constants and weights stay outside.

        Nodes of a body may read what the graph around it has made, and not the reverse.
        """
        outer, transposed = self.ir, self._transposed
        self.ir, self._transposed = ir.Graph([], [], nodes=[], name=self.name("body")), {}
        try:
            yield self.ir
        finally:
            self.ir, self._transposed = outer, transposed

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str]) -> Tensor:
        """Declare a graph input in Keras' own layout."""
        self._taken.add(name)
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self.ir.inputs.append(value)
        return Tensor(value, as_keras(len(shape)))

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        outputs: int = 1,
        **attributes: Any,
    ) -> ir.Value:
        """Emit one node and return its first output, with dtype and shape as ONNX infers them."""
        return self.node(op_type, inputs, attributes, outputs=outputs).outputs[0]

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any],
        *,
        domain: str = "",
        outputs: int = 1,
    ) -> ir.Node:
        """Emit one node, with its outputs' dtypes and shapes as ONNX infers them."""
        name = self.name(op_type)
        typed = {leaf: _typed(leaf, value) for leaf, value in attributes.items()}
        node = ir.node(op_type, inputs, typed, domain=domain, num_outputs=outputs, name=name)
        for index, value in enumerate(node.outputs):
            value.name = name if index == 0 else self.name(f"{op_type}.{index}")
        infer_outputs(node, OPSET)
        self.ir.append(node)
        return node

    def adopt(self, node: ir.Node) -> None:
        """Take over a node from another graph, and rename it after the current layer.

        The outputs keep what is known of their shapes beyond what ONNX infers from one node.
        """
        node.name = self.name(node.op_type)
        shapes = [value.shape for value in node.outputs]
        for index, value in enumerate(node.outputs):
            value.name = node.name if index == 0 else self.name(f"{node.op_type}.{index}")
        infer_outputs(node, OPSET)
        for value, shape in zip(node.outputs, shapes, strict=True):
            value.shape = merged(value.shape, shape)
        self.ir.append(node)

    def constant(self, array: np.ndarray[Any, Any], leaf: str) -> ir.Value:
        """Add an initializer that holds `array`."""
        array = np.asarray(array, order="C")
        return self._initializer(ir.Tensor(array, name=self.name(leaf)))

    def floats(self, value: Number | Sequence[Number], leaf: str, like: ir.Value) -> ir.Value:
        """Add a small constant of the dtype of `like`."""
        dtype = like.dtype or ir.DataType.FLOAT
        return self.constant(np.asarray(value, dtype=dtype.numpy()), leaf)

    def integers(self, values: Sequence[int], leaf: str) -> ir.Value:
        """Add a one-dimensional int64 constant: axes, shapes, pads."""
        return self.constant(np.asarray(values, dtype=np.int64), leaf)

    def weight(
        self,
        variable: Any,
        leaf: str,
        change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None,
        *,
        form: str = "",
    ) -> ir.Value:
        """Add an initializer that reads a Keras variable only when the model is written.

        Floating-point numbers of any type become float32.

        A shared layer adds its variable several times: each `form` of it is one initializer.

        Args:
            variable: the Keras variable.
            leaf: the last part of the initializer's name.
            change: what to do to the values, such as a transposition.
            form: a name for `change`.
        """
        key = (id(variable), form)
        if key not in self._weights:
            self._keep_alive.append(variable)
            dtype = graph_dtype(variable.dtype)
            read = _reader(variable, dtype, change)
            shape = _shape_after(tuple(variable.shape), change)
            tensor = ir.LazyTensor(read, dtype, ir.Shape(shape), name=self.name(leaf))
            self._weights[key] = self._initializer(tensor)
        return self._weights[key]

    def stored(self, x: Tensor, order: tuple[int, ...]) -> ir.Value:
        """Return the value of `x` stored in `order`, after one Transpose where it is needed."""
        if x.order == order:
            return x.value
        permutation = tuple(x.order.index(axis) for axis in order)
        key = (x.value, permutation)
        if key not in self._transposed:
            self._transposed[key] = self._permute(x.value, permutation)
        return self._transposed[key]

    def in_keras_order(self, x: Tensor) -> ir.Value:
        """Return the value of `x` stored in the order of Keras' axes."""
        return self.stored(x, as_keras(x.rank))

    def reshape(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Add a Reshape; in ONNX, 0 keeps an axis and -1 takes the remaining elements."""
        return self.op("Reshape", value, self.integers(shape, "shape"))

    def part_of_shape(self, value: ir.Value, start: int, end: int) -> ir.Value:
        """Emit the extents of the stored axes from `start` up to `end`, a vector of int64.

        The attributes of Shape would do, but came with opset 15.
        """
        bounds = (self.integers([start], "start"), self.integers([end], "end"))
        return self.op("Slice", self.op("Shape", value), *bounds)

    def _permute(self, value: ir.Value, permutation: tuple[int, ...]) -> ir.Value:
        shape = shape_of(value)
        moved = [axis for axis in permutation if shape[axis] != 1]
        kept_order = moved == sorted(moved) and permutation[0] == 0
        if kept_order and all(shape[axis] is not None for axis in permutation[1:]):
            return self.reshape(value, [0, *(shape[axis] or 0 for axis in permutation[1:])])
        return self.op("Transpose", value, perm=list(permutation))

    def _initializer(self, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=tensor.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(extents(tensor)),
            const_value=tensor,
        )
        self._main.register_initializer(value)
        return value


def _typed(name: str, value: Any) -> Any:
    """Wrap a list of integers as an attribute: onnx_ir is slow to infer the type of a list."""
    integers = isinstance(value, (list, tuple)) and value and all(type(v) is int for v in value)
    return ir.AttrInt64s(name, value) if integers else value


def graph_dtype(keras_dtype: str) -> ir.DataType:
    """Return the type of a weight in the graph."""
    if "float" in keras_dtype:
        return ir.DataType.FLOAT
    return ir.DataType.from_numpy(np.dtype(keras_dtype))


def _reader(
    variable: Any,
    dtype: ir.DataType,
    change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None,
) -> Callable[[], ir.TensorProtocol]:
    def read() -> ir.TensorProtocol:
        array = np.asarray(variable.value).astype(dtype.numpy(), copy=False)
        return ir.Tensor(np.asarray(array if change is None else change(array)))

    return read


def _shape_after(
    shape: tuple[int, ...],
    change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None,
) -> tuple[int, ...]:
    """Return the shape after `change`, found on a broadcast array that takes no memory."""
    if change is None:
        return shape
    changed: tuple[int, ...] = change(np.broadcast_to(np.float32(0), shape)).shape
    return changed
