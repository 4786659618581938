"""What values a model's tensors take on real pictures: one pass that serves fp16 and int8 alike."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport import serialize
from kexport.needs import need

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Extent:
    """The largest magnitude that a tensor took."""

    largest: float


def observe(model: ir.Model, feeds: Mapping[str, Array]) -> dict[str, Extent]:
    """Run `model` and note the largest |x| of every float32 tensor that a node makes.

    The reduction happens inside the graph, so that memory stays that of an ordinary run, whatever
    the number of tensors.

    Args:
        model: a float32 model; opset 18 or higher.
        feeds: an array for each input, as for `InferenceSession.run`.

    Returns:
        An extent for each value, by name; infinite where a value was not a number.
    """
    probed = model.clone()
    graph = probed.graph
    names: list[str] = []
    infinity = _infinity(graph)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT and value.name:
                names.append(value.name)
                _add_probe(graph, node, value, infinity)
    ort = need("onnxruntime", extra="cpu")
    with tempfile.TemporaryDirectory() as folder:  # in memory, protobuf ends at 2 GiB
        path = Path(folder, "observed.onnx")
        serialize.save(probed, path)
        session = ort.InferenceSession(path, _quiet(ort), providers=["CPUExecutionProvider"])
    results = session.run([f"{name}.largest" for name in names], dict(feeds))
    return {name: Extent(float(largest)) for name, largest in zip(names, results, strict=True)}


def _add_probe(graph: ir.Graph, node: ir.Node, value: ir.Value, infinity: ir.Value) -> None:
    """Reduce |value| to an output; a maximum alone may pass over what is not a number."""
    magnitude = ir.node("Abs", [value], name=f"{value.name}.abs")
    missing = ir.node("IsNaN", [value], name=f"{value.name}.is_nan")
    finite = ir.node(
        "Where",
        [missing.outputs[0], infinity, magnitude.outputs[0]],
        name=f"{value.name}.nan_is_infinite",
    )
    largest = ir.node("ReduceMax", [finite.outputs[0]], {"keepdims": 0}, name=f"{value.name}.max")
    result = largest.outputs[0]
    result.name, result.type, result.shape = (
        f"{value.name}.largest",
        ir.TensorType(ir.DataType.FLOAT),
        ir.Shape([]),
    )
    graph.insert_after(node, [magnitude, missing, finite, largest])
    graph.outputs.append(result)


def _infinity(graph: ir.Graph) -> ir.Value:
    tensor = ir.Tensor(np.asarray(np.inf, np.float32), name="observe.infinity")
    value = ir.Value(
        name=tensor.name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape([]),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def _quiet(ort: Any) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options
