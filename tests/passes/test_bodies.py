"""Passes enter the bodies of Scan and Loop."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from keras import layers, ops
from phases import simplify
from support import Array, assert_near, keras_answers, model_of, normal, onnx_answers, simplified

from kexport.conversion import convert_model
from kexport.graph.bodies import graphs
from kexport.passes import pipeline
from kexport.passes.convert_float16 import convert_float16
from kexport.passes.convert_opset import convert_opset
from kexport.passes.infer_shapes import infer_shapes
from kexport.passes.set_batch import set_batch

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


class Summed(layers.Layer):
    """A traced layer with a Loop of tf2onnx's."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(4, activation="gelu")

    def call(self, x: Any) -> Any:
        def body(i: Any, total: Any) -> Any:
            low, high = ops.split(self.dense(total), 2, axis=-1)
            return i + 1, ops.concatenate([ops.mean(x, axis=1) + high, low - high], axis=-1)

        start = ops.concatenate([x[:, 0], x[:, 1]], axis=-1)
        return ops.while_loop(lambda i, _: i < 3, body, (0, start))[1]

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 4)


def scanned() -> keras.Model:
    layer = layers.LSTM(3, activation="gelu", return_sequences=True, return_state=True)
    return model_of(layer, (5, 2))


def looped() -> keras.Model:
    return model_of(Summed(), (5, 2))


MODELS = [scanned, looped]
X = normal(1, 5, 2)


def values(model: ir.Model) -> list[ir.Value]:
    """Return all values that nodes make or bodies take."""
    inner = [body.inputs for body in graphs(model.graph) if body is not model.graph]
    made = [value for node in model.graph.all_nodes() for value in node.outputs]
    return [*made, *(value for inputs in inner for value in inputs)]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("opset", [13, 17])
def test_an_older_opset(make: Any, opset: int) -> None:
    keras_model = make()
    model = pipeline.run(simplified(keras_model), [convert_opset(opset)]).model
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert_near(onnx_answers(model, [X]), keras_answers(keras_model, [X]))


@pytest.mark.parametrize("make", MODELS)
def test_float16(make: Any) -> None:
    keras_model = make()
    model = pipeline.run(simplified(keras_model), [infer_shapes, convert_float16(frozenset())])
    onnx.checker.check_model(ir.to_proto(model.model), full_check=True)
    for body in list(graphs(model.model.graph))[1:]:
        computed = [node for node in body if node.op_type != "Cast"]
        types = {value.dtype for node in computed for value in node.outputs} & set(FLOATS)
        assert types == {ir.DataType.FLOAT16}
    assert_near(onnx_answers(model.model, [X]), keras_answers(keras_model, [X]), 5e-3)


def test_whole_numbers_are_compared_in_float32() -> None:
    """Float16 does not tell 2048 from 2049, so that a Loop would not end."""
    model = pipeline.run(simplified(looped()), [infer_shapes, convert_float16(frozenset())]).model
    compared = [node for node in model.graph.all_nodes() if node.op_type == "Less"]
    read = {value.dtype for node in compared for value in node.inputs if value is not None}
    assert read <= {ir.DataType.FLOAT, ir.DataType.INT32}


@pytest.mark.parametrize("make", MODELS)
def test_a_node_that_stays_in_float32_keeps_its_body(make: Any) -> None:
    keras_model = make()
    before = pipeline.run(simplified(keras_model), [infer_shapes]).model
    kept = frozenset(node.name or "" for node in before.graph if node.op_type in ("Scan", "Loop"))
    model = pipeline.run(before, [convert_float16(kept)]).model
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    for body in list(graphs(model.graph))[1:]:
        assert ir.DataType.FLOAT16 not in {v.dtype for node in body for v in node.outputs}
    assert_near(onnx_answers(model, [X]), keras_answers(keras_model, [X]), 5e-3)


@pytest.mark.parametrize("make", MODELS)
def test_a_fixed_batch(make: Any) -> None:
    changes = [set_batch(1), infer_shapes]
    model = pipeline.run(convert_model(make()).model, changes).model
    for value in values(model):
        assert value.shape is None or "batch" not in [getattr(d, "value", d) for d in value.shape]


def test_every_shape_of_a_scan_is_known_for_a_fixed_batch() -> None:
    model = pipeline.run(convert_model(scanned()).model, [set_batch(1), infer_shapes]).model
    assert all(isinstance(d, int) for value in values(model) for d in value.shape or [None])


def test_a_split_into_uneven_parts_at_an_older_opset() -> None:
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 20}, name="split")
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 5]))
    graph.inputs.append(x)
    node = ir.node("Split", [x], {"axis": 1, "num_outputs": 2}, num_outputs=2, name="split")
    for index, value in enumerate(node.outputs):
        value.name, value.type, value.shape = f"y{index}", x.type, ir.Shape([1, 3 - index])
    graph.append(node)
    graph.outputs.extend(node.outputs)
    model = convert_opset(17)(ir.Model(graph, ir_version=9))
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    given: list[Array] = session.run(None, {"x": np.arange(5, dtype=np.float32)[None]})
    np.testing.assert_array_equal(given[0], [[0, 1, 2]])
    np.testing.assert_array_equal(given[1], [[3, 4]])


def masked() -> keras.Model:
    inner = (layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.SimpleRNN(2))
    return keras.Sequential([keras.Input((5, 2)), layers.Masking(), *inner])


def convolved() -> keras.Model:
    return model_of(layers.Bidirectional(layers.ConvLSTM1D(3, 2)), (5, 4, 2))


def masked_steps() -> keras.Model:
    layer = layers.GRU(3, activation="gelu", return_sequences=True)
    return keras.Sequential([keras.Input((5, 2)), layers.Masking(), layer])


def test_a_recurrent_node_with_lengths_stays_in_float32() -> None:
    model = pipeline.run(simplified(masked()), [infer_shapes, convert_float16(frozenset())]).model
    nodes = [node for node in model.graph if node.op_type in ("LSTM", "RNN")]
    assert len(nodes) == 3
    assert {node.outputs[0].dtype for node in nodes} == {ir.DataType.FLOAT}
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def started() -> keras.Model:
    x, h, c = keras.Input((None, 2)), keras.Input((3,)), keras.Input((3,))
    y = layers.LSTM(3, use_bias=False)(x, initial_state=[h, c])
    return keras.Model([x, h, c], layers.Dense(2)(y))


def test_initial_states_in_float16() -> None:
    model = started()
    half = pipeline.run(simplified(model), [infer_shapes, convert_float16(frozenset())]).model
    inputs = [normal(2, 5, 2), normal(2, 3, seed=1), normal(2, 3, seed=2)]
    answers = onnx_answers(half, inputs, optimise=True)
    assert_near(answers, keras_answers(model, inputs), 5e-3)


@pytest.mark.rtx
@pytest.mark.parametrize("make", [scanned, masked, masked_steps, started, convolved])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_reads_the_graph(make: Any, precision: str) -> None:
    import tensorrt_rtx as trt

    half = [convert_float16(frozenset())] if precision == "fp16" else []
    changes = [set_batch(1), *simplify(), infer_shapes, *half, convert_opset(17)]
    model = pipeline.run(convert_model(make()).model, changes).model
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    network = trt.Builder(logger).create_network(0)
    parser = trt.OnnxParser(network, logger)
    read = parser.parse(ir.to_proto(model).SerializeToString())
    assert read, [str(parser.get_error(i)) for i in range(parser.num_errors)]
