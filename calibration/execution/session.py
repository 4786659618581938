"""ONNX Runtime sessions over many images, a batch at a time."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.batch_axis import is_samplewise
from kexport.calibration.execution.rows import Inputs, arrays_of
from kexport.calibration.execution.tensor_file import writing_temporary_files
from kexport.graph import save
from kexport.needs import need
from kexport.runtime.ort_engine import LEFT_OUT

BATCH_SIZE = 4
"""The batch size where the graph leaves it open."""

SMALL_BYTES = 1 << 25
"""The largest size of weights that ONNX Runtime is given in memory instead of in a file."""

PARALLEL_BATCHES = 2
"""Batches that run at the same time, each on its share of the cores."""


class Batches(Sequence[Array]):
    """Samples of one input in the batches of a model, each of which is read on access.

    The last batch of a model with a fixed batch size is filled up with the first images. A model
    with an open batch size gets batches of `batch` images.
    """

    def __init__(
        self, model: ir.Model, images: Array, batch: int = BATCH_SIZE, *, free: bool = False
    ) -> None:
        """Divide images into batches.

        Args:
            model: a graph.
            images: one of its inputs, batch first.
            batch: the batch size where the graph leaves it open.
            free: whether the graph is run in parts, which take any batch size: a fixed one is then
                ignored where samples stay apart (`is_samplewise`).
        """
        given = model.graph.inputs[0]
        first = given.shape[0] if given.shape is not None else None
        if free and is_samplewise(model):
            first = None
        self._images, self._fixed = images, isinstance(first, int)
        self.size = first if isinstance(first, int) else batch

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self.size)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.size
        rows = np.arange(start, start + (self.size if self._fixed else self.count(index)))
        return np.asarray(self._images[rows % len(self._images)])

    def count(self, index: int) -> int:
        """Return the number of images of a batch without those that fill it up."""
        return min(self.size, len(self._images) - index * self.size)

    def fraction(self, index: int) -> float:
        """Return the fraction of a batch without the images that fill it up."""
        return self.count(index) / self.size if self._fixed else 1.0


def batches_of(
    model: ir.Model, inputs: Inputs, batch: int = BATCH_SIZE, *, free: bool = False
) -> dict[str, Batches]:
    """Divide the samples of each input into batches, by the names of the inputs."""
    return {
        name: Batches(model, array, batch, free=free)
        for name, array in arrays_of(model, inputs).items()
    }


def feeds_of(batches: Mapping[str, Sequence[Array]]) -> Iterator[dict[str, Array]]:
    """Yield the arrays of one batch after another, by the names of the inputs."""
    for arrays in zip(*batches.values(), strict=True):
        yield dict(zip(batches, arrays, strict=True))


def run_batches(
    model: ir.Model, images: Inputs, outputs: Sequence[str], *, optimised: bool = True
) -> Iterator[dict[str, Array]]:
    """Run `model` on samples batch by batch, and yield some outputs of each.

    Args:
        model: a graph; its batch size is fixed or open.
        images: the samples; the last batch is filled up, and the outputs are cut off.
        outputs: names of graph outputs.
        optimised: whether ONNX Runtime may fuse nodes.
    """
    release_memory()
    session = open_session(model, optimised=optimised, short_lived=True)
    batches, left = batches_of(model, images), len(images)
    size = next(iter(batches.values())).size
    for found in run_parallel(session, outputs, feeds_of(batches)):
        yield {name: array[:left] for name, array in zip(outputs, found, strict=True)}
        left -= size


def run_parallel(
    session: Any, outputs: Sequence[str], feeds: Iterable[Mapping[str, Array]]
) -> Iterator[list[Array]]:
    """Run a session on each of `feeds`, and yield the outputs in their order.

    While the caller uses one result, the next `PARALLEL_BATCHES` are computed, so that no core is
    idle. The iterator `feeds` advances in the caller's thread.
    """
    running = deque[Future[list[Array]]]()
    with ThreadPoolExecutor(PARALLEL_BATCHES) as pool:
        for feed in feeds:
            running.append(pool.submit(session.run, list(outputs), dict(feed)))
            if len(running) > PARALLEL_BATCHES:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def run_all(model: ir.Model, images: Inputs, output: str) -> Array:
    """Compute one output of `model` on all images."""
    return np.concatenate([found[output] for found in run_batches(model, images, [output])])


def open_session(
    model: ir.Model,
    *,
    optimised: bool = True,
    fuse_qdq: bool = True,
    threads: int | None = None,
    short_lived: bool = False,
) -> Any:
    """Open an ONNX Runtime session on the CPU for a model of any size.

    QDQ pairs with float16 scales are left as they are: with WeightBiasQuantization (1.31.1), which
    converts biases to int32, MobileNetV2 falls from 33 dB to 2 dB.

    Args:
        model: the model.
        optimised: whether ONNX Runtime may fuse nodes.
        fuse_qdq: whether it may compute QDQ pairs and nodes between them in integers.
        threads: the number of threads; all cores by default.
        short_lived: for a session that runs once over the images, `PARALLEL_BATCHES` at a time: it
            uses its share of the cores and keeps no memory between runs.

    Raises:
        OutputFailed: the folder for temporary files cannot be written.
    """
    ort = need("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if short_lived:
        threads = max(1, (os.cpu_count() or 1) // PARALLEL_BATCHES)
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    options.add_session_config_entry(*LEFT_OUT)
    if not fuse_qdq or _has_half_scales(model):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if _is_small(model):
        content = ir.to_proto(model).SerializeToString()
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory() as folder:  # in memory, protobuf is limited to 2 GiB
        path = Path(folder, "model.onnx")
        with writing_temporary_files("the graph that is run on the calibration images"):
            save.save(model, path)
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _is_small(model: ir.Model) -> bool:
    """Return whether the weights of a model are in memory, and few enough to copy there."""
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return not any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors) and (
        sum(tensor.nbytes for tensor in tensors if tensor is not None) <= SMALL_BYTES
    )


def release_memory() -> None:
    """Return freed memory to the system where the C library would keep it, as glibc does."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _has_half_scales(model: ir.Model) -> bool:
    scales = (node.inputs[1] for node in model.graph if node.op_type == "DequantizeLinear")
    return any(scale is not None and scale.dtype == ir.DataType.FLOAT16 for scale in scales)
