"""infer_shapes: shapes from the inputs to every value."""

import keras
import onnx_ir as ir
from keras import layers
from support import assert_pure_and_equal, normal, randomise

from kexport.conversion import convert_model
from kexport.passes.infer_shapes import infer_shapes
from kexport.passes.set_batch import set_batch


def test_a_fixed_batch_reaches_every_value() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3, strides=2)(x)))
    model = set_batch(2)(convert_model(randomise(keras.Model(x, y))).model)
    name = model.graph.inputs[0].name or ""
    changed = assert_pure_and_equal(infer_shapes, model, {name: normal(2, 8, 8, 3)})
    for node in changed.graph:
        shape = node.outputs[0].shape
        assert shape is not None
        assert shape[0] == 2
        assert all(isinstance(dim, int) for dim in shape)


def test_shapes_that_cannot_be_inferred_are_kept() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, 3]))
    to = ir.Value(name="to", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([2]))
    node = ir.node("Reshape", [x, to], name="r")
    node.outputs[0].name = "y"
    node.outputs[0].type, node.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), None
    graph = ir.Graph([x, to], node.outputs, nodes=[node], opset_imports={"": 20}, name="g")
    changed = infer_shapes(ir.Model(graph, ir_version=9))
    assert changed.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_axes_that_cannot_be_inferred_are_kept() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, 3]))
    to = ir.Value(name="to", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([2]))
    node = ir.node("Reshape", [x, to], name="r")
    node.outputs[0].name = "y"
    node.outputs[0].shape = ir.Shape([2, None])
    graph = ir.Graph([x, to], node.outputs, nodes=[node], opset_imports={"": 20}, name="g")
    shape = infer_shapes(ir.Model(graph, ir_version=9)).graph.outputs[0].shape
    assert shape is not None
    assert shape[0] == 2
