"""Lint context: what a rule inspects, and the violations that it reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx.defs
import onnx_ir as ir

from kexport.arrays import Array
from kexport.targets import Device, TensorRT, ToolchainRelease

SPARSE = "kexport.sparse_initializers"
"""The key of `ir.Model.meta` with their names."""
_NAMES = {"FLOAT": "float32", "DOUBLE": "float64"}


@dataclass(frozen=True, slots=True)
class Violation:
    """A node, or an input or output of the graph, that breaks a rule."""

    node: str
    """The node's name, or the graph's input or output; "" for the graph as a whole."""
    operator: str
    """The node's type; "" for an input or output."""
    message: str
    source: str = ""
    """Where it was found, if not at the rule's source."""


@dataclass(frozen=True, slots=True)
class LintContext:
    """A graph with the device and the toolchain that will run it.

    Rules about types skip values whose type is not known.
    """

    model: ir.Model
    """With its functions in place of their calls."""
    device: Device
    toolchain: ToolchainRelease
    calls: tuple[ir.Node, ...] = ()
    """The calls of functions that the model defines."""
    profiled: bool = False
    """Whether the engine is built with an optimisation profile."""

    @property
    def sparse(self) -> tuple[str, ...]:
        """The names of the sparse initializers, which the model itself does not hold."""
        return tuple(self.model.meta.get(SPARSE, ()))

    @property
    def rules(self) -> TensorRT:
        """The row of targets/tensorrt: what the toolchain's parser supports."""
        return self.toolchain.rules

    @property
    def release(self) -> tuple[int, ...]:
        """The release of TensorRT as numbers."""
        return self.toolchain.release

    @property
    def opset(self) -> int:
        """The version of the default ONNX opset."""
        return self.model.graph.opset_imports.get("", 0)

    def nodes(self, *op_types: str) -> Iterator[ir.Node]:
        """Yield the nodes of these types in ONNX's default domain, including those in subgraphs."""
        for node in self.model.graph.all_nodes():
            if node.domain == "" and (not op_types or node.op_type in op_types):
                yield node


def at_node(node: ir.Node, message: str, source: str = "") -> Violation:
    """Return a violation at a node; a node without a name is identified by its first output."""
    outputs = (value.name for value in node.outputs if value.name)
    return Violation(node.name or next(outputs, ""), node.op_type, message, source)


def at_value(value: ir.Value, message: str) -> Violation:
    """Return a violation at an input or output of the graph."""
    return Violation(value.name or "", "", message)


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Return the node's input at `index`; None if it is omitted."""
    return node.inputs[index] if index < len(node.inputs) else None


def input_named(context: LintContext, node: ir.Node, name: str) -> ir.Value | None:
    """Return the node's input by ONNX's name; None if it is omitted, or not of the opset."""
    if not onnx.defs.has(node.op_type, max(context.opset, 1)):
        return None
    names = [formal.name for formal in onnx.defs.get_schema(node.op_type, context.opset).inputs]
    return input_at(node, names.index(name)) if name in names else None


def type_name(dtype: ir.DataType | None) -> str | None:
    """Return the name of an element type as in targets/tensorrt, such as "float32"."""
    return None if dtype is None else _NAMES.get(dtype.name, dtype.name.lower())


def tensor_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer or a Constant; None for other values."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value
    maker = value.producer()
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return maker.attributes["value"].as_tensor()
    return None


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is known before the network runs; true for an omitted input."""
    if value is None or value.is_initializer() or value.const_value is not None:
        return True
    maker = value.producer()
    return maker is not None and maker.op_type == "Constant"


def is_settled(context: LintContext, value: ir.Value | None) -> bool:
    """Whether the toolchain takes a value as known before the network runs.

    TensorRT 11 evaluates what follows from constants alone; before, only constants are known.
    """
    return is_constant(value) or (
        context.release >= (11,) and value is not None and _from_constants(value)
    )


def _from_constants(value: ir.Value) -> bool:
    maker = value.producer()
    if is_constant(value) or maker is None or not maker.inputs:
        return is_constant(value)
    return maker.op_type not in ("Shape", "Size") and all(
        one is None or _from_constants(one) for one in maker.inputs
    )


def numbers(value: ir.Value | None) -> Array | None:
    """Return the elements of a constant; None for other values, and for external data."""
    tensor = tensor_of(value)
    if tensor is None or isinstance(tensor, ir.ExternalTensor):
        return None
    return tensor.numpy()
