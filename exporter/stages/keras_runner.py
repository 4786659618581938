"""Keras on many images: in batches that fit into memory, and traced where that saves time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.progress import Say, percent_progress
from kexport.keras_graph import has_nodes, is_graph, rerun, takes_training
from kexport.needs import need

BATCH_BYTES, LIVE_TENSORS = 1 << 29, 4
"""The memory for the tensors of one call, and how many as large as the largest are alive at a
time, as a rough measure: `rerun` drops each tensor after its last use."""

MOST_AT_ONCE = 32
"""The most images in a call. More are not faster on a few cores."""

TRACED_FROM = 4
"""Calls from which a model is traced. By experiment, on 240 images in 8 calls: MobileNetV2 for
96 x 96 takes half the time traced, tracing included, and a small MobileNet for 32 x 32 a fifth
more; each further call takes a tenth of the time."""

Prepare = Callable[[Array], Array]
"""Makes of images as they arrive, batch first, what the model takes."""


@dataclass(frozen=True, slots=True)
class KerasRunner:
    """Runs a Keras model on images, some at a time."""

    call: Callable[[Any], Any]
    """Computes the outputs for one batch."""
    at_once: int
    """Images in a batch."""

    def first_output(self, images: Array, prepare: Prepare, say: Say, step: str) -> Array:
        """Compute the model's first output, batch first, as float32; arguments as of `batches`."""
        return np.concatenate([found[0] for found in self.batches(images, prepare, say, step)])

    def batches(
        self, images: Array, prepare: Prepare, say: Say, step: str
    ) -> Iterator[list[Array]]:
        """Yield the model's outputs for one batch after another, float32, batch first.

        All batches have the same size, the last one filled up with its first image, so that a
        traced model is traced once; what belongs to the filling is left out.

        Args:
            images: images as they arrive, batch first.
            prepare: makes of a batch of them what the model takes.
            say: called with `step` and the share that is done.
            step: a few words for progress.
        """
        progress = percent_progress(say, step)
        for start in range(0, len(images), self.at_once):
            some = prepare(images[start : start + self.at_once])
            missing = self.at_once - len(some) if start else 0
            batch = np.concatenate([some, *[some[:1]] * missing]) if missing else some
            outputs = keras.tree.flatten(self.call(batch))
            yield [
                np.asarray(keras.ops.convert_to_numpy(one), np.float32)[: len(some)]
                for one in outputs
            ]
            progress(start + len(some), len(images))


def runner_for(model: keras.Model, graph: ir.Model, count: int) -> KerasRunner:
    """Choose how to run a model on `count` images.

    A graph of layers is run layer by layer, or traced by `tf.function`, as `Model.predict` does,
    if there are many batches. Any other model is called.

    Args:
        model: the Keras model, of one input.
        graph: the same model in ONNX, whose shapes tell the memory that a batch takes.
        count: the number of images in all.
    """
    at_once = batch_for(graph)
    if not is_graph(model) or not has_nodes(model):
        return KerasRunner(lambda batch: model(batch, training=False), at_once)
    if count > TRACED_FROM * at_once and keras.backend.backend() == "tensorflow":
        tf = need("tensorflow")
        traced = tf.function(lambda batch: model(batch, training=False), autograph=False)
        return KerasRunner(lambda batch: traced(tf.convert_to_tensor(batch)), at_once)
    return KerasRunner(lambda batch: rerun(model, batch, _step), at_once)


def batch_for(graph: ir.Model) -> int:
    """Compute how many images fit into one call, from the largest tensor of a graph."""
    values = (value for node in graph.graph for value in node.outputs)
    largest = max((4 * math.prod(_extents(value)[1:]) for value in values), default=1)
    fitting = BATCH_BYTES // (LIVE_TENSORS * max(largest, 1))
    return min(max(fitting, 1), MOST_AT_ONCE)


def _step(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a layer for inference; run inner models layer by layer too, where they keep a graph."""
    if is_graph(operation) and has_nodes(operation):
        return rerun(operation, args[0], _step)
    given = {key: value for key, value in kwargs.items() if key != "training"}
    if takes_training(operation):
        given["training"] = False
    return operation(*args, **given)


def _extents(value: ir.Value) -> list[int]:
    """Return the extents of a tensor; open ones count as 1."""
    return [dim if isinstance(dim, int) else 1 for dim in value.shape or ()]
