"""What the parser refuses of an operator that it imports: the rows of `kexport.lint.limits`."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.defs
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from kexport import lint, targets
from kexport.lint.limits import ATTRIBUTES, RANKS, TYPES

OPERATORS = {name for row in targets.tensorrts() for name in row.operators}


def rules(graph: str, device: str, tensorrt: str, opset: int = 13) -> set[str]:
    """Return the names of the rules that refuse a graph."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {graph}')
    return refused(model, device, tensorrt)


def refused(model: onnx.ModelProto, device: str, tensorrt: str) -> set[str]:
    platform = targets.place(device, tensorrt=tensorrt or None)
    inferred = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    return {found.rule for found in lint.find(inferred, platform) if found.refuses}


def test_every_row_names_what_onnx_has() -> None:
    for row in ATTRIBUTES:
        versions = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == row.operator]
        assert any(row.attribute in schema.attributes for schema in versions), row
        assert row.operator in OPERATORS
        assert row.source.startswith("https://")
    for row in TYPES:
        assert set(row.operators) <= OPERATORS
        for name in row.operators:
            versions = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == name]
            assert any(max(row.inputs) < schema.max_input for schema in versions), row
    for row in RANKS:
        assert set(row.operators) <= OPERATORS
    for release in targets.tensorrts():
        for name in (*release.constant_inputs, *release.float32_arguments):
            operator, argument = name.split(".")
            versions = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == operator]
            assert any(argument in [i.name for i in s.inputs] for s in versions), name


MATRIX = "(int32[2,2] x) => (int32[2,2] y) { y = MatMul(x, x) }"
BOOL_WHERE = "(bool[2] c, bool[2] x) => (bool[2] y) { y = Where(c, x, x) }"
BOOL_GATHER = "(bool[2] x, int64[1] i) => (bool[1] y) { y = Gather(x, i) }"
TOP_K = "(int32[4] x) => (y, z) <int64[1] k = {2}> { y, z = TopK(x, k) }"
INT_RESIZE = """(int32[1,1,2,2] x) => (int32[1,1,4,4] y) <float[4] s = {1,1,2,2}>
{ y = Resize <mode = "nearest"> (x, , s) }"""
CUBIC = """(float[1,1,2,2] x) => (float[1,1,4,4] y) <float[4] s = {1,1,2,2}>
{ y = Resize <mode = "cubic"> (x, , s) }"""
SCALES = """(float[1,1,2,2] x) => (float[1,1,4,4] y) <float[4] s = {1,1,2,2}>
{ t = Identity(s) y = Resize <mode = "nearest"> (x, , t) }"""
BOXES = """(float[1,4,4] b, float[1,1,4] s) => (int64[N,3] y) <int64[1] n = {2}, float[1] o = {0.5}>
{ p = Identity(o) y = NonMaxSuppression(b, s, n, p) }"""
FLOAT_RANGE = """(float[4] x) => (float[N] y) <float a = {0}, float c = {1}, int64 i = {0}>
{ s = Shape(x) d = Gather(s, i) b = Cast <to = 1> (d) y = Range(a, b, c) }"""


@pytest.mark.parametrize(
    ("graph", "tensorrt", "found"),
    [
        (MATRIX, "8.2", {"input-type"}),
        (BOOL_WHERE, "8.2", {"input-type"}),
        (BOOL_WHERE, "8.5", set()),
        (BOOL_GATHER, "8.2", {"input-type"}),
        (BOOL_GATHER, "11.4", set()),
        (TOP_K, "8.2", {"input-type"}),
        (TOP_K, "8.6", set()),
        (INT_RESIZE, "8.2", {"input-type"}),
        (INT_RESIZE, "11.4", {"input-type"}),
        (CUBIC, "8.2", {"attribute"}),
        (CUBIC, "8.5", set()),
        (SCALES, "8.2", {"computed-input"}),
        (SCALES, "10.3", set()),
        (BOXES, "8.2", {"computed-input"}),
        (BOXES, "8.5", set()),
        (FLOAT_RANGE, "8.2", {"float-shape"}),
        (FLOAT_RANGE, "11.4", set()),
    ],
)
def test_a_release_refuses_what_its_parser_refuses(
    graph: str, tensorrt: str, found: set[str]
) -> None:
    assert rules(graph, "jetson-xavier" if tensorrt == "8.2" else "trt", tensorrt) == found


SEQUENCE = "(seq(float[2]) s, float[2] x) => (float[2] y) { y = Relu(x) }"
MISH = "(float[2] x) => (float[2] y) { y = Mish(x) }"
CUM_SUM = "(float[2,3] x, int64 a) => (float[2,3] y) { y = CumSum(x, a) }"
PADDED = """(float16[2] x) => (float16[4] y) <int64[2] p = {1,1}, float16 v = {15360}>
{ y = Pad(x, p, v) }"""
NOTHING_TRAINED = """(float[2] x, bool t) => (float[2] y) <float r = {0.5}>
{ y = Dropout(x, r, t) }"""


@pytest.mark.parametrize(
    ("graph", "tensorrt", "opset", "found"),
    [
        (SEQUENCE, "11.4", 13, {"tensor-type"}),
        (MISH, "10.0", 18, set()),
        (CUM_SUM, "11.4", 14, set()),
        (CUM_SUM, "10.3", 14, {"computed-input"}),
        (NOTHING_TRAINED, "11.4", 13, {"training"}),
    ],
)
def test_whole_operators(graph: str, tensorrt: str, opset: int, found: set[str]) -> None:
    assert rules(graph, "trt", tensorrt, opset) == found


def test_a_float16_constant_that_tensorrt_8_2_reads_as_float32() -> None:
    assert "float32-argument" in rules(PADDED, "jetson-nano", "8.2")
    assert "float32-argument" not in rules(PADDED, "jetson-xavier", "8.4")


def test_float16_weights_of_raw_data_are_read() -> None:
    weight = numpy_helper.from_array(numpy_helper.to_array(helper.make_tensor("w", 10, [1], [1])))
    weight.name = "w"
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "g", edges[:1], edges[1:], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    assert refused(model, "jetson-nano", "8.2") == set()


def called(op_type: str, *inputs: str) -> onnx.ModelProto:
    """Return a model whose only node calls a function with one operator of that type."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    outputs = ["b", "c"][: len(onnx.defs.get_schema(op_type).outputs)]
    function = helper.make_function(
        "own", "F", ["a", *inputs], outputs, [helper.make_node(op_type, ["a", *inputs], outputs)],
        opsets[:1],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("F", ["x", *inputs], outputs, domain="own")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
        [helper.make_tensor(name, TensorProto.INT64, [1], [2]) for name in inputs],
    )
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)


def test_the_body_of_a_function_is_judged_where_it_is_called() -> None:
    assert refused(called("Det"), "trt", "11.4") == {"operator"}
    assert refused(called("Relu"), "trt", "11.4") == set()
    assert refused(called("Relu"), "trt", "8.6") == {"local-function"}
    assert refused(called("TopK", "k"), "trt", "8.5") == {"local-function"}


def test_an_input_that_is_an_initializer_is_no_edge(tmp_path: Path) -> None:
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    shape = helper.make_tensor_value_info("s", TensorProto.INT64, [1])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "s"], ["y"])],
        "g",
        [edges[0], shape],
        edges[1:],
        [helper.make_tensor("s", TensorProto.INT64, [1], [4])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3),
        tmp_path / "model.onnx",
    )
    model = lint.open_onnx(tmp_path / "model.onnx")
    assert lint.find(model, targets.place("jetson-nano")) == ()
