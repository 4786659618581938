"""add_top_k: the best classes instead of all scores."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from phases import to_float16
from support import Sketch, normal, onnx_answers, snapshot

from kexport.passes import pipeline
from kexport.passes.add_top_k import add_top_k


def sketch() -> ir.Model:
    s = Sketch()
    x = s.input("x", ["batch", 7])
    y, z = s.op("Softmax", x, axis=-1), s.op("Relu", x)
    y.name, z.name = "probabilities", "features"
    return s.model(z, y)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_best_classes_of_each_row_in_order(count: int) -> None:
    model = sketch()
    before = snapshot(model)
    changed = add_top_k("probabilities", count)(model)
    assert snapshot(model) == before
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)
    assert [value.name for value in changed.graph.outputs] == ["features", "indices", "scores"]
    x = normal(4, 7)
    features, indices, scores = onnx_answers(changed, [x])
    every = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    np.testing.assert_array_equal(features, np.maximum(x, 0))
    np.testing.assert_array_equal(indices, np.argsort(-every, axis=-1)[:, :count])
    np.testing.assert_allclose(scores, -np.sort(-every, axis=-1)[:, :count], rtol=1e-6)
    assert (indices.dtype, scores.dtype) == (np.int64, np.float32)


def test_scores_of_a_float16_graph_are_float32() -> None:
    passes = (add_top_k("probabilities", 2), *to_float16(17, frozenset()))
    changed = pipeline.run(sketch(), passes).model
    _, indices, scores = onnx_answers(changed, [normal(4, 7)])
    assert (indices.dtype, scores.dtype) == (np.int64, np.float32)


def test_equal_scores_are_ordered_by_class() -> None:
    _, indices, _ = onnx_answers(
        add_top_k("probabilities", 3)(sketch()), [np.zeros((1, 7), np.float32)]
    )
    assert indices.tolist() == [[0, 1, 2]]
