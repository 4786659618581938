"""Traced nodes, moved into the graph of the model with its constants and the names of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.padding import cut_before
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.tf2onnx_run import NotTranslated, Traced
from kexport.conversion.traced_shapes import axis_names, inferred_shapes
from kexport.graph.bodies import graphs
from kexport.graph.shapes import merged


def insert(
    g: Graph, traced: Traced, proto: onnx.ModelProto, sources: Sequence[ir.Value]
) -> list[Tensor]:
    """Move traced nodes into the graph, where they read `sources` instead of their inputs.

    The outputs have the types and, where ONNX infers less, the extents that TensorFlow knows.
    """
    graph = ir.from_proto(_with_named_axes(proto, sources)).graph
    _forget_names(graph, kept=axis_names(sources))
    known = dict(zip(graph.inputs, sources, strict=True))
    for value in _constants(graph):
        if value.const_value is not None:
            known[value] = g.constant(value.const_value.numpy(), "constant")
    outputs = [known.get(value, value) for value in graph.outputs]
    graph.outputs.clear()
    _leave_out_empty_inputs(graph)
    _floor_as_half_pixels(graph)
    for value, source in known.items():
        value.replace_all_uses_with(source)
    nodes = list(graph)
    graph.remove(nodes)
    for node in nodes:
        cut_before(g, node)
        g.adopt(node)
    shapes = inferred_shapes(traced, sources)
    return [
        _as_traced(g, value, y.dtype.as_numpy_dtype, shape)
        for value, y, shape in zip(outputs, traced.concrete.outputs, shapes, strict=True)
    ]


def _with_named_axes(proto: onnx.ModelProto, sources: Sequence[ir.Value]) -> onnx.ModelProto:
    """Infer shapes with the names that the open axes of `sources` have in the model.

    tf2onnx calls each open axis by another name, such as `unk__12`.
    """
    graph = proto.graph
    for value, source in zip(graph.input, sources, strict=True):
        value.type.CopyFrom(ir.serde.serialize_value(source).type)
    for value in (*graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.Clear()
    try:
        return onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return proto


def _forget_names(graph: ir.Graph, kept: Sequence[str]) -> None:
    """Leave axes open without a name; tf2onnx and ONNX's inference make up names like `unk__12`."""
    inputs = (value for inner in graphs(graph) for value in inner.inputs)
    made = (value for node in graph.all_nodes() for value in node.outputs)
    for value in (*inputs, *made):
        if value.shape is not None:
            value.shape = ir.Shape(
                dim if isinstance(dim, int) or dim.value in kept else None for dim in value.shape
            )


def _leave_out_empty_inputs(graph: ir.Graph) -> None:
    """Leave out the inputs of Resize that are empty, which tf2onnx gives besides the sizes."""
    for node in graph.all_nodes():
        constants = [None if value is None else value.const_value for value in node.inputs]
        for place, constant in enumerate(constants):
            if node.op_type == "Resize" and constant is not None and constant.size == 0:
                node.replace_input_with(place, None)


def _floor_as_half_pixels(graph: ir.Graph) -> None:
    """Write the nearest pixel of TensorFlow so that TensorRT reads it.

    tf2onnx writes floor((i + 0.5) / scale), the mode tf_half_pixel_for_nn rounded down, which every
    parser of TensorRT refuses. It is (i + 0.5) / scale - 0.5, half_pixel, rounded to the nearest
    integer, halves up: subtracting 0.5 is exact from 0.25 on, and below both give the first pixel.
    """
    written = ("tf_half_pixel_for_nn", "floor")
    for node in graph.all_nodes():
        if node.op_type == "Resize":
            names = ("coordinate_transformation_mode", "nearest_mode")
            found = [node.attributes.get(name) for name in names]
            if tuple(None if one is None else one.as_string() for one in found) == written:
                for name, value in zip(names, ("half_pixel", "round_prefer_ceil"), strict=True):
                    node.attributes[name] = ir.AttrString(name, value)


def _constants(graph: ir.Graph) -> list[ir.Value]:
    """Return the initializers in the order in which nodes first read them.

    tf2onnx writes them in an order that changes from process to process.
    """
    constants = set(graph.initializers.values())
    read = (value for node in graph.all_nodes() for value in node.inputs if value is not None)
    return [value for value in dict.fromkeys([*read, *graph.outputs]) if value in constants]


def _as_traced(g: Graph, value: ir.Value, dtype: Any, shape: ir.Shape | None) -> Tensor:
    """Return an output with the type that it has in TensorFlow, and what is known of its shape."""
    wanted = ir.DataType.from_numpy(np.dtype(dtype))
    if value.dtype != wanted:
        value = g.op("Cast", value, to=wanted.value)
    if not _may_be_equal(value.shape, shape):
        raise NotTranslated(
            f"tf2onnx gives its output the shape {_sizes(value.shape)}, and TensorFlow "
            f"{_sizes(shape)}",
            "write it with other operations of keras.ops",
        )
    if value.producer() is not None:
        value.shape = merged(value.shape, shape)
    if value.shape is None:
        raise ValueError(f"the number of axes of {value.name!r} is only known at run time")
    return Tensor(value, as_keras(len(value.shape)))


def _may_be_equal(one: ir.Shape | None, other: ir.Shape | None) -> bool:
    if one is None or other is None:
        return True
    pairs = zip(one, other, strict=False)
    sizes = ((a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return len(one) == len(other) and all(a == b for a, b in sizes)


def _sizes(shape: ir.Shape | None) -> str:
    return " x ".join(str(dim) for dim in shape or ())
