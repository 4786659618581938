"""Emitters: names, places, types and roles of new nodes."""

import numpy as np
import onnx_ir as ir
from support import Sketch

from kexport.graph.edit import replace_node
from kexport.graph.emit import Emitter
from kexport.graph.roles import Role, role_of, set_role


def relu() -> tuple[ir.Model, ir.Node]:
    s = Sketch()
    model = s.model(s.op("Relu", s.input("x", [2, 3])))
    return model, next(iter(model.graph))


def test_nodes_before_a_node_are_numbered() -> None:
    model, node = relu()
    e = Emitter.before(model.graph, node)
    x = model.graph.inputs[0]
    e("Mul", e("Add", x, e.number(1.0, x)), e.number(2.0, x))
    assert [n.name for n in model.graph] == ["Relu_0.1.Add", "Relu_0.2.Mul", "Relu_0"]
    assert list(model.graph.initializers) == ["Relu_0.constant", "Relu_0.constant_1"]


def test_nodes_at_the_start_have_unique_names_across_parts() -> None:
    model, _ = relu()
    e = Emitter.at_start(model.graph, "image")
    part = e.part("decode")
    x = model.graph.inputs[0]
    y = part("Add", x, part.constant(1.0, np.float32, "one"), name="one")
    part("Mul", y, e.part("decode").constant(1.0, np.float32, "one"))
    assert [n.name for n in model.graph] == ["image/decode/one_1", "image/decode/Mul", "Relu_0"]
    assert list(model.graph.initializers) == ["image/decode/one", "image/decode/one_2"]


def test_results_have_inferred_types_and_shapes() -> None:
    model, node = relu()
    e = Emitter.before(model.graph, node)
    y = e("Unsqueeze", model.graph.inputs[0], e.constant([0], np.int64))
    assert y.dtype == ir.DataType.FLOAT
    assert list(y.shape or ()) == [1, 2, 3]
    assert list(e("Shape", y).shape or ()) == [3]


def test_an_empty_graph_gets_nodes_at_its_end() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1]))
    graph = ir.Graph([x], [x], nodes=[], opset_imports={"": 20})
    e = Emitter.at_start(graph, "image")
    e("Neg", e("Relu", x))
    assert [node.op_type for node in graph] == ["Relu", "Neg"]


def test_a_cast_to_the_same_type_is_no_node() -> None:
    model, node = relu()
    x = model.graph.inputs[0]
    assert Emitter.before(model.graph, node).cast(x, ir.DataType.FLOAT) is x
    assert len(model.graph) == 1


def test_roles_survive_cloning_replacement_and_lowering() -> None:
    model, node = relu()
    set_role(node, Role.COORDINATES)
    copy = model.clone()
    (node,) = copy.graph
    assert role_of(node) is Role.COORDINATES
    new = ir.node("Neg", [node.inputs[0]], name="neg")
    replace_node(copy.graph, node, new, "result")
    assert role_of(new) is Role.COORDINATES
    Emitter.before(copy.graph, new)("Abs", new.inputs[0])
    assert [role_of(n) for n in copy.graph] == [Role.COORDINATES] * 2


def test_a_part_gives_its_role_to_its_nodes_alone() -> None:
    model, _ = relu()
    e = Emitter.at_start(model.graph, "image")
    e("Neg", e.part("resize", Role.PIXELS)("Abs", model.graph.inputs[0]))
    assert [role_of(node) for node in model.graph] == [Role.PIXELS, None, None]


def test_roles_are_not_written_to_the_file() -> None:
    model, node = relu()
    before = ir.to_proto(model).SerializeToString()
    set_role(node, Role.PIXELS)
    assert ir.to_proto(model).SerializeToString() == before
