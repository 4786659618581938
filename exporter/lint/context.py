"""What a rule looks at: a graph, and the toolchain and the hardware that are to run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array
from kexport.targets import Device, TensorRT, ToolchainRelease

_NAMES = {"FLOAT": "float32", "DOUBLE": "float64"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is broken, and by what."""

    node: str
    """The node's name, or the graph's input or output."""
    operator: str
    """The node's type; "" for an input or output."""
    what: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One graph on one device. Values need their types; what has none breaks no rule of types."""

    model: ir.Model
    device: Device
    toolchain: ToolchainRelease

    @property
    def rules(self) -> TensorRT:
        """What the toolchain's parser reads."""
        return self.toolchain.rules

    @property
    def release(self) -> tuple[int, ...]:
        """The release of TensorRT as numbers."""
        return self.toolchain.release

    @property
    def opset(self) -> int:
        """The opset of ONNX's own domain."""
        return self.model.graph.opset_imports.get("", 0)

    def nodes(self, *op_types: str) -> Iterator[ir.Node]:
        """The nodes of these types in ONNX's own domain, those in the bodies of others too."""
        for node in self.model.graph.all_nodes():
            if node.domain == "" and (not op_types or node.op_type in op_types):
                yield node


def at(node: ir.Node, what: str) -> Place:
    """A place in a graph; a node without a name goes by its first output."""
    outputs = (value.name for value in node.outputs if value.name)
    return Place(node.name or next(outputs, ""), node.op_type, what)


def at_value(value: ir.Value, what: str) -> Place:
    """An input or output of the graph."""
    return Place(value.name or "", "", what)


def given(node: ir.Node, index: int) -> ir.Value | None:
    """The input at `index`; None if it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def type_name(dtype: ir.DataType | None) -> str | None:
    """The name of an element type, as the rows of targets/tensorrt have it: "float32"."""
    return None if dtype is None else _NAMES.get(dtype.name, dtype.name.lower())


def tensor_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor that an initializer or a Constant holds."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value
    maker = value.producer()
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return maker.attributes["value"].as_tensor()
    return None


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is known before the network runs, or left out."""
    if value is None or value.is_initializer() or value.const_value is not None:
        return True
    maker = value.producer()
    return maker is not None and maker.op_type == "Constant"


def numbers(value: ir.Value | None) -> Array | None:
    """The numbers of a constant; None for what is none, or lies in a file beside the model."""
    tensor = tensor_of(value)
    if tensor is None or isinstance(tensor, ir.ExternalTensor):
        return None
    return tensor.numpy()
