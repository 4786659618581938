"""Whether ONNX Runtime has a kernel for each node of a graph."""

from __future__ import annotations

import re
from typing import Any

import onnx_ir as ir

from kexport.errors import MissingDependency, UnsupportedModel, one_line
from kexport.needs import need

SMALL = 1024
"""Elements up to which a constant is kept: shapes, axes and the like, which decide on shapes."""


def refuse_unloadable(model: ir.Model) -> None:
    """Refuse a graph that ONNX Runtime does not load, such as one with a Relu of int64.

    The weights are not read: they are inputs of the graph that is tried. Nothing is tried where
    ONNX Runtime is not installed, which conversion does without.

    Raises:
        UnsupportedModel: with the node, whose name begins with that of its layer.
    """
    try:
        ort = need("onnxruntime")
    except MissingDependency:
        return
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    proto = ir.to_proto(_without_weights(model)).SerializeToString()
    try:
        ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UnsupportedModel(_reason(error), hint="cast its input to float32 or int32") from error


def _reason(error: Exception) -> str:
    found = re.search(r"implementation for (\w+)\(\d+\) node with name '([^']+)'", str(error))
    if found is None:
        return f"ONNX Runtime does not load the graph: {one_line(error)}"
    operator, node = found.groups()
    return f"ONNX Runtime has no {operator} for the type of the input of {node!r}"


def _without_weights(model: ir.Model) -> ir.Model:
    """Return a copy whose large constants are inputs."""
    copy = model.clone()
    for name, value in list(copy.graph.initializers.items()):
        constant: Any = value.const_value
        if constant is not None and constant.size > SMALL:
            del copy.graph.initializers[name]
            value.const_value = None
            copy.graph.inputs.append(value)
    return copy
