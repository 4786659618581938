"""Statistics of every channel of a tensor, gathered inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.running import run_batches

Array = np.ndarray[Any, Any]


def channel_means(model: ir.Model, names: Sequence[str], images: Array) -> dict[str, Array]:
    """The mean of each channel of the tensors `names`, float64 [C], over all images and pixels.

    Nodes run one by one as they stand in the graph, so that a quantised model computes in float
    what its integers stand for, and every tensor is there to be read.
    """
    means = _reduced(model, names, images, "ReduceMean")
    return {name: np.mean(rows, axis=0, dtype=np.float64) for name, rows in means.items()}


def channel_peaks(model: ir.Model, names: Sequence[str], images: Array) -> dict[str, Array]:
    """The largest magnitude in each channel of the tensors `names`, float64 [C]."""
    highest = _reduced(model, names, images, "ReduceMax")
    lowest = _reduced(model, names, images, "ReduceMin")
    return {
        name: np.maximum(highest[name].max(axis=0), -lowest[name].min(axis=0)).astype(np.float64)
        for name in names
    }


def _reduced(
    model: ir.Model, names: Sequence[str], images: Array, operator: str
) -> dict[str, Array]:
    """One row [C] for each picture, reduced over the pixels of [N, C, ...] tensors."""
    probed = model.clone()
    graph = probed.graph
    values = {value.name: value for node in graph for value in node.outputs}
    outputs = []
    for name in names:
        value = values[name]
        result = _reduction(graph, value, operator)
        outputs.append(result.name or "")
        graph.outputs.append(result)
    rows: dict[str, list[Array]] = {name: [] for name in names}
    for found in run_batches(probed, images, outputs, optimised=False):
        for name, output in zip(names, outputs, strict=True):
            rows[name].append(found[output])
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _reduction(graph: ir.Graph, value: ir.Value, operator: str) -> ir.Value:
    rank = len(value.shape or ())
    name = f"{value.name}.{operator}"
    inputs, attributes = [value], {"keepdims": 0}
    opset = graph.opset_imports.get("", 0)
    axes = list(range(2, rank))
    if opset < 18:
        attributes["axes"] = axes
    else:
        tensor = ir.tensor(np.asarray(axes, np.int64), name=f"{name}.axes")
        constant = ir.Value(
            name=tensor.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape([len(axes)]),
            const_value=tensor,
        )
        graph.register_initializer(constant)
        inputs.append(constant)
    if not axes:
        node = ir.node("Identity", [value], name=name)
    else:
        node = ir.node(operator, inputs, attributes, name=name)
    result = node.outputs[0]
    result.name, result.type = name, ir.TensorType(ir.DataType.FLOAT)
    producer = value.producer()
    if producer is None:
        raise ValueError(f"{value.name} is made by no node")
    graph.insert_after(producer, node)
    return result
