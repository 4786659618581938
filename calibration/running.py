"""Run a graph over many pictures, a few at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport import serialize
from kexport.needs import need

Array = np.ndarray[Any, Any]

AT_ONCE = 4
"""Pictures at a time where the graph leaves the batch open."""


def run_batches(
    model: ir.Model, images: Array, outputs: Sequence[str], *, optimised: bool = True
) -> Iterator[dict[str, Array]]:
    """Run `model` on `images` [N, ...] batch by batch, and yield the asked outputs of each.

    Args:
        model: a graph of one input; its batch is fixed or open.
        images: what the input takes; the last batch is filled up with repeats, which are cut off.
        outputs: names of graph outputs.
        optimised: whether ONNX Runtime may fuse; without, each node computes by itself.
    """
    (given,) = model.graph.inputs
    session = open_session(model, optimised=optimised)
    left = len(images)
    for batch in batches_of(model, images):
        found = session.run(list(outputs), {given.name: batch})
        yield {name: array[:left] for name, array in zip(outputs, found, strict=True)}
        left -= len(batch)


def batches_of(model: ir.Model, images: Array) -> Iterator[Array]:
    """`images` in batches that `model` takes; the last one is filled up with the first pictures."""
    (given,) = model.graph.inputs
    first = given.shape[0] if given.shape is not None else None
    batch = first if isinstance(first, int) else AT_ONCE
    for start in range(0, len(images), batch):
        yield np.asarray(images[np.arange(start, start + batch) % len(images)])


def run_all(model: ir.Model, images: Array, output: str) -> Array:
    """One output of `model` on all of `images`."""
    return np.concatenate([found[output] for found in run_batches(model, images, [output])])


def open_session(model: ir.Model, *, optimised: bool = True, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU, of a model of any size, on all cores by default.

    Pairs with scales of float16 stay as they are: WeightBiasQuantization (1.31.1) makes int32 of
    biases, in steps that are products of two scales in float16, where most of these vanish.
    """
    ort = need("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    if _has_half_scales(model):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:  # in memory, protobuf ends at 2 GiB
        path = Path(folder, "model.onnx")
        serialize.save(model, path)
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _has_half_scales(model: ir.Model) -> bool:
    scales = (node.inputs[1] for node in model.graph if node.op_type == "DequantizeLinear")
    return any(scale is not None and scale.dtype == ir.DataType.FLOAT16 for scale in scales)
