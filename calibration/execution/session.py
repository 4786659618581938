"""Run a graph over many images, a few at a time."""

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
from kexport.calibration.execution.tensor_file import writing
from kexport.graph import save
from kexport.needs import need

AT_ONCE = 4
"""Images at a time where the graph leaves the batch open."""

ABREAST = 2
"""Batches that run at the same time, each on its share of the cores."""


class Batches(Sequence[Array]):
    """Images as a model takes them, each batch read when it is asked for.

    A fixed batch is filled up with the first images; one that the model leaves open is `batch`.
    """

    def __init__(self, model: ir.Model, images: Array, batch: int = AT_ONCE) -> None:
        (given,) = model.graph.inputs
        first = given.shape[0] if given.shape is not None else None
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
        """How many images of a batch count."""
        return min(self.size, len(self._images) - index * self.size)

    def part(self, index: int) -> float:
        """The part of a batch, from its beginning, that counts."""
        return self.count(index) / self.size if self._fixed else 1.0


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
    session = open_session(model, optimised=optimised, brief=True)
    batches, left = Batches(model, images), len(images)
    for found in run_abreast(session, outputs, ({given.name or "": batch} for batch in batches)):
        yield {name: array[:left] for name, array in zip(outputs, found, strict=True)}
        left -= batches.size


def run_abreast(
    session: Any, outputs: Sequence[str], feeds: Iterable[Mapping[str, Array]]
) -> Iterator[list[Array]]:
    """Run a session on each of `feeds`, and yield the outputs in their order.

    While one result is taken, the next `ABREAST` are computed, so that the cores wait for nobody.
    `feeds` are made where the results are taken.
    """
    running = deque[Future[list[Array]]]()
    with ThreadPoolExecutor(ABREAST) as pool:
        for feed in feeds:
            running.append(pool.submit(session.run, list(outputs), dict(feed)))
            if len(running) > ABREAST:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def run_all(model: ir.Model, images: Array, output: str) -> Array:
    """One output of `model` on all of `images`."""
    return np.concatenate([found[output] for found in run_batches(model, images, [output])])


def open_session(
    model: ir.Model, *, optimised: bool = True, threads: int | None = None, brief: bool = False
) -> Any:
    """An ONNX Runtime session on the CPU, of a model of any size, on all cores by default.

    `brief` is for one that runs for a moment, on `ABREAST` batches at a time: it has its part of
    the cores, keeps no memory for its next run, and what those before it have freed goes back to
    the system.

    Pairs with scales of float16 stay as they are: with WeightBiasQuantization (1.31.1), which makes
    int32 of biases, MobileNetV2 falls from 33 dB to 2 dB.

    Raises:
        OutputFailed: the folder for temporary files cannot be written.
    """
    ort = need("onnxruntime", extra="cpu")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if brief:
        threads = max(1, (os.cpu_count() or 1) // ABREAST)
        give_back()
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    if _has_half_scales(model):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:  # in memory, protobuf ends at 2 GiB
        path = Path(folder, "model.onnx")
        with writing("the graph that is run on the calibration images"):
            save.save(model, path)
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def give_back() -> None:
    """Hand freed memory to the system where the C library would keep it, as glibc does."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _has_half_scales(model: ir.Model) -> bool:
    scales = (node.inputs[1] for node in model.graph if node.op_type == "DequantizeLinear")
    return any(scale is not None and scale.dtype == ir.DataType.FLOAT16 for scale in scales)
