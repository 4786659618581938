"""Absolute maxima of all tensors of a model, for the float16 guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import open_session
from kexport.calibration.statistics.collector import add_output


@dataclass(frozen=True, slots=True)
class Extent:
    """The largest magnitude of a tensor."""

    largest: float


def observe(model: ir.Model, *feeds: Mapping[str, Array]) -> dict[str, Extent]:
    """Run `model`, and record the largest |x| of every float32 tensor that a node computes.

    The graph itself computes the maxima, so that the memory is that of an ordinary run, whatever
    the number of tensors.

    Args:
        model: a float32 model, quantized or not.
        feeds: the inputs of each run: an array by input name, as for `InferenceSession.run`.

    Returns:
        An extent for each tensor, by name; infinite where an element was NaN.
    """
    probed = model.clone()
    graph = probed.graph
    names: list[str] = []
    infinity = _infinity(graph)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT and value.name:
                names.append(value.name)
                _add_probe(graph, value, infinity)
    session, outputs = open_session(probed), [f"{name}.largest" for name in names]
    results = np.array([session.run(outputs, dict(feed)) for feed in feeds])
    return {
        name: Extent(float(largest))
        for name, largest in zip(names, results.max(axis=0), strict=True)
    }


def _add_probe(graph: ir.Graph, value: ir.Value, infinity: ir.Value) -> None:
    """Add an output of max |value|, with NaN as infinity, because ReduceMax may ignore NaN."""
    magnitude = ir.node("Abs", [value], name=f"{value.name}.abs")
    missing = ir.node("IsNaN", [value], name=f"{value.name}.is_nan")
    finite = ir.node(
        "Where",
        [missing.outputs[0], infinity, magnitude.outputs[0]],
        name=f"{value.name}.nan_is_infinite",
    )
    largest = ir.node("ReduceMax", [finite.outputs[0]], {"keepdims": 0}, name=f"{value.name}.max")
    add_output(
        graph, value, [magnitude, missing, finite, largest], f"{value.name}.largest", ir.Shape([])
    )


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
