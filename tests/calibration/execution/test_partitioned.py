"""Partitioned execution: the results of the whole graph, in the memory of a part."""

from __future__ import annotations

import tracemalloc
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from support import Sketch, normal, onnx_answers, randomise, simplified

from kexport.calibration.algorithms import bias_correction
from kexport.calibration.algorithms.bias_correction import measure_shifts
from kexport.calibration.execution import partitioned, tensor_file
from kexport.calibration.execution.partitioned import run_partitioned
from kexport.calibration.execution.subgraph import partition
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.calibration.statistics import channels
from kexport.calibration.statistics.ranges import collect_statistics

WEIGHTS = 8 * 8 * 3 * 3 * 4
"""Bytes of the weights of one layer."""


def chain(batch: int | str = "n", size: int = 12) -> ir.Model:
    """Build five convolutions; the output of the third is added to its input."""
    s = Sketch()
    x = s.input("x", [batch, 8, size, size])
    for index in range(5):
        weights = s.constant(f"w{index}", normal(8, 8, 3, 3, seed=index, scale=0.1))
        y = s.op("Relu", s.op("Conv", x, weights, pads=[1, 1, 1, 1]))
        x = s.op("Add", x, y) if index == 2 else y
    return s.model(x)


def test_partitions_have_few_weights_and_all_nodes() -> None:
    graph = chain().graph
    found = list(partition(graph, 2 * WEIGHTS))
    assert [node for piece in found for node in piece] == list(graph)
    assert [sum(node.op_type == "Conv" for node in piece) for piece in found] == [2, 2, 1]
    assert len(list(partition(graph, 1))) == 5
    assert len(list(partition(graph, 1 << 30))) == 1


@pytest.mark.parametrize("most", [1, 2 * WEIGHTS, 1 << 30])
def test_partitioned_execution_equals_the_whole_graph(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioned, "PARTITION_BYTES", most)
    model, given = chain(), normal(7, 8, 12, 12, seed=9)
    middle = next(node for node in model.graph if node.op_type == "Add").outputs[0]
    model.graph.outputs.append(middle)
    wanted = onnx_answers(model, [given])
    batches = [given[:3], given[3:6], given[6:]]
    made: dict[str, list[np.ndarray]] = {}
    for _, _, index, found in run_partitioned(model, batches):
        for name, array in found.items():
            assert len(made.setdefault(name, [])) == index
            made[name].append(array)
    for value, array in zip(model.graph.outputs, wanted, strict=True):
        assert np.allclose(np.concatenate(made[value.name or ""]), array, atol=1e-4)


def test_the_weights_of_a_body_belong_to_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned, "PARTITION_BYTES", 1)
    x = keras.Input((5, 6, 2))
    y = layers.TimeDistributed(layers.Conv1D(2, 2, padding="same"))(x)
    y = layers.ConvLSTM1D(3, 2, padding="same")(y)
    model = simplified(randomise(keras.Model(x, layers.Conv1D(2, 2)(y))))
    given = normal(4, 5, 6, 2)
    made = [list(found.values()) for *_, found in run_partitioned(model, [given]) if found]
    assert np.allclose(made[0][0], onnx_answers(model, [given])[0], atol=1e-5)


def held(work: Any, *arguments: Any) -> int:
    """Measure the peak memory of Python objects and arrays in bytes."""
    tracemalloc.start()
    try:
        work(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned, "PARTITION_BYTES", WEIGHTS)
    monkeypatch.setattr(channels, "MAX_SAMPLES", 1000)
    monkeypatch.setattr(tensor_file, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(bias_correction, "BATCH_BYTES", 0)
    model = chain(batch=1, size=48)
    nodes = [node.name or "" for node in model.graph if node.op_type == "Conv"]
    values = [value.name or "" for node in model.graph for value in node.outputs]
    given = normal(120, 8, 48, 48)

    def measured(count: int) -> None:
        collect_statistics(model, values, values, given[:count], batch=1, method="percentile")

    def corrected(count: int) -> None:
        measure_shifts(model, model, nodes, given[:count])

    for work in (measured, corrected):
        work(4)  # imports
        few, many = held(work, 24), held(work, 120)  # several batches are in flight
        assert many - few < 96 * given[0].nbytes / 4


def test_a_tensor_file_returns_the_appended_arrays() -> None:
    parts = TensorFile()
    arrays = [normal(2, 3, seed=1), np.arange(5, dtype=np.uint8), np.float32(4).reshape(())]
    for array in arrays:
        parts.append(array)
    parts.append(arrays[0].T)
    assert len(parts) == 4
    for found, wanted in zip(parts, [*arrays, arrays[0].T], strict=True):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    assert np.array_equal(parts[-1], arrays[0].T)
    assert len(parts[1:3]) == 2
