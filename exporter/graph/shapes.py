"""Shape inference of single nodes by ONNX, and the shapes of constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.checker
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir

from kexport.graph.bodies import bodies

SMALL = 64
"""Largest integer constant whose values the inference reads: enough for shapes, axes and pads.

The scales of a Resize are not read: in float64, 3 * float32(5 / 3) is just below 5, which would
give 4 pixels.
"""


def infer_outputs(node: ir.Node, opset: int) -> None:
    """Set dtype and shape of every output of `node`, whose inputs must have theirs.

    The outputs of Loop, If and Scan keep the types that they have.

    Raises:
        ValueError: ONNX's inference finds the inputs inconsistent, or of types that the operator
            does not take.
    """
    if has_body(node) and all(value.type is not None for value in node.outputs):
        return
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    inputs = [value for value in node.inputs if value is not None]
    types = {_name(value): _type_proto(value) for value in inputs}
    data = {
        _name(value): ir.serde.serialize_tensor(value.const_value)
        for value in inputs
        if value.const_value is not None
        and value.dtype == ir.DataType.INT64
        and value.const_value.size <= SMALL
    }
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema,
            ir.serde.serialize_node(node),
            types,
            data,
            opset_imports=[onnx.helper.make_opsetid("", opset)],
        )
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise ValueError(f"{node.name}: {error}") from error
    for value in node.outputs:
        if value.name in found:
            proto = found[value.name]
            value.type = ir.serde.deserialize_type_proto_for_type(proto)
            value.shape = ir.serde.deserialize_type_proto_for_shape(proto)
    if node.op_type == "Resize" and len(node.inputs) == 3:
        node.outputs[0].shape = _scaled(node) or node.outputs[0].shape


def refine_outputs(node: ir.Node, opset: int, found: set[ir.Value]) -> None:
    """Infer the outputs of `node` if one is not completely known, or an input is in `found`.

    Axes that the inference leaves open keep their known extents. Changed outputs are added to
    `found`. The nodes of a body are inferred too, and the outputs of a Scan from those of its body.

    Raises:
        ValueError: ONNX's inference finds the inputs inconsistent.
    """
    if has_body(node):
        _refine_bodies(node, opset, found)
        return
    if found.isdisjoint(node.inputs) and all(_is_known(value) for value in node.outputs):
        return
    before = [(value.type, value.shape) for value in node.outputs]
    infer_outputs(node, opset)
    for value, (dtype, shape) in zip(node.outputs, before, strict=True):
        value.type = value.type or dtype
        value.shape = merged(value.shape, shape)
        if (value.type, value.shape) != (dtype, shape):
            found.add(value)


def _refine_bodies(node: ir.Node, opset: int, found: set[ir.Value]) -> None:
    """Infer the nodes in the bodies of a node.

    Each step of a Scan reads the states and one step of each sequence, along axis 0 here. The
    states of a Loop may change their shapes, so that nothing follows from the first ones.
    """
    plain = node.op_type == "Scan" and not {"scan_input_axes", "scan_output_axes"} & set(
        node.attributes
    )
    if not plain:
        for body in bodies(node):
            _refine_nodes(body, opset, found)
        return
    (body,) = bodies(node)
    carried = len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
    time: int | ir.SymbolicDim = ir.SymbolicDim(None)
    for index, (outer, inner_value) in enumerate(zip(node.inputs, body.inputs, strict=True)):
        if outer is None or outer.shape is None:
            continue
        if index >= carried:
            time = outer.shape[0]
        _learn(inner_value, list(outer.shape)[index >= carried :], found)
    _refine_nodes(body, opset, found)
    for index, (value, made) in enumerate(zip(node.outputs, body.outputs, strict=True)):
        value.type = value.type or made.type
        if made.shape is not None:
            _learn(value, [*([time] if index >= carried else []), *made.shape], found)


def _refine_nodes(body: ir.Graph, opset: int, found: set[ir.Value]) -> None:
    """Infer the nodes of a body as far as the types of their inputs are known."""
    for node in body:
        if all(value is None or value.type is not None for value in node.inputs):
            refine_outputs(node, opset, found)


def _learn(value: ir.Value, axes: Sequence[int | ir.SymbolicDim], found: set[ir.Value]) -> None:
    """Give a value the known axes of a shape; it is added to `found` if that changes it."""
    shape = merged(ir.Shape(axes), value.shape)
    if shape != value.shape:
        value.shape = shape
        found.add(value)


def _is_known(value: ir.Value) -> bool:
    """Return whether a value has a type, and every axis a number or a name."""
    if value.type is None or value.shape is None:
        return False
    return all(isinstance(dim, int) or dim.value is not None for dim in value.shape)


def merged(found: ir.Shape | None, known: ir.Shape | None) -> ir.Shape | None:
    """Return a shape that was found, with the known axes where it leaves them open."""
    if found is None or known is None or len(found) != len(known):
        return known if found is None else found
    return ir.Shape(
        [
            dim if isinstance(dim, int) or dim.value is not None else before
            for dim, before in zip(found, known, strict=True)
        ]
    )


def _scaled(node: ir.Node) -> ir.Shape | None:
    """Compute the output shape of a Resize: floor(extent * scale).

    An extent stays open if float32, which engines compute in, and float64, which ONNX's checker
    computes in, give different results.
    """
    x, scales = node.inputs[0], node.inputs[2]
    if x is None or x.shape is None or scales is None or scales.const_value is None:
        return None
    factors = scales.const_value.numpy().astype(np.float32)
    return ir.Shape([_times(dim, factor) for dim, factor in zip(x.shape, factors, strict=True)])


def _times(dim: int | ir.SymbolicDim, factor: np.float32) -> int | ir.SymbolicDim:
    if factor == 1:
        return dim
    if not isinstance(dim, int):
        return ir.SymbolicDim(None)
    single, double = int(np.float32(dim) * factor), int(dim * float(factor))
    return single if single == double else ir.SymbolicDim(None)


def has_body(node: ir.Node) -> bool:
    """Return whether a node contains a graph, as Loop, If and Scan do."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())


def dims(value: ir.Value) -> list[int | ir.SymbolicDim]:
    """Return the axes of a value: numbers, and symbols for open ones.

    Raises:
        ValueError: the rank is not known.
    """
    if value.shape is None:
        raise ValueError(f"the rank of {value.name} is not known")
    return list(value.shape)


def extents(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    """Return the extents of a constant, without reading its values."""
    return tuple(extent for extent in tensor.shape if isinstance(extent, int))


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise ValueError("a value without a name cannot be inferred")
    return value.name


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    return ir.serde.serialize_value(value).type
