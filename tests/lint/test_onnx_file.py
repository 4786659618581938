"""ONNX files of other people: what is not valid is refused in words, and aliases are understood."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kexport.errors import UnreadableModel
from kexport.lint import open_onnx

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
RELU = helper.make_node("Relu", ["x"], ["y"])
ADD = helper.make_node("Add", ["x", "w"], ["y"])


def model(*nodes: onnx.NodeProto, opset: int = 13, domain: str = "") -> onnx.ModelProto:
    graph = helper.make_graph(nodes or [RELU], "g", [X], [Y])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8
    )


def weighted(change: Callable[[TensorProto], object]) -> onnx.ModelProto:
    """Build x + w, with a change to the tensor w, float32 [4]."""
    made = model(ADD)
    made.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "w"))
    change(made.graph.initializer[0])
    return made


def external(**entries: str) -> onnx.ModelProto:
    def move(tensor: TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return weighted(move)


def typed(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.float_data[:] = [1, 2, 3]


def element_77() -> onnx.ModelProto:
    made = model()
    made.graph.input[0].type.tensor_type.elem_type = 77
    return made


def negative() -> onnx.ModelProto:
    made = model()
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -3
    return made


def integer_for_list() -> onnx.ModelProto:
    pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    pool.attribute.add(name="dilations", type=onnx.AttributeProto.INT, i=1)
    return model(pool)


def recursive() -> onnx.ModelProto:
    call = helper.make_node("F", ["a"], ["b"], domain="me")
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("me", 1)]
    made = model(helper.make_node("F", ["x"], ["y"], domain="me"))
    made.opset_import.append(imports[1])
    made.functions.append(helper.make_function("me", "F", ["a"], ["b"], [call], imports))
    return made


def without_output() -> onnx.ModelProto:
    made = model()
    made.graph.node[0].ClearField("output")
    return made


INVALID: dict[str, tuple[onnx.ModelProto, str]] = {
    "output made twice": (model(RELU, helper.make_node("Abs", ["x"], ["y"])), "'y' has been used"),
    "opset 0": (model(opset=0), "its opset is 0"),
    "opset -3": (model(opset=-3), "its opset is -3"),
    "element type": (element_77(), "77"),
    "cycle": (
        model(helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])),
        "input 'b'.* is not output of any previous nodes",
    ),
    "unsorted": (
        model(helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Abs", ["x"], ["a"])),
        "must be topologically sorted, however input 'a'",
    ),
    "dangling input": (model(ADD), "input 'w'"),
    "output of no node": (model(helper.make_node("Relu", ["x"], ["z"])), "output 'y'"),
    "no output": (without_output(), "output size 0 not in range"),
    "negative size": (negative(), "'x' has a negative size"),
    "list": (integer_for_list(), "attribute type .*dilations"),
    "recursive function": (recursive(), "me::F -> me::F"),
    "short data": (
        weighted(lambda w: setattr(w, "raw_data", b"12345")),
        "'w' has 5 bytes where its shape needs 16",
    ),
    "typed data": (weighted(typed), "'w' has 3 numbers where its shape needs 4"),
    "huge shape": (
        weighted(lambda w: w.dims.__setitem__(0, 1 << 50)),
        "'w' has 16 bytes where its shape needs 4503599627370496",
    ),
    "negative extent": (weighted(lambda w: w.dims.__setitem__(0, -4)), "'w' has a negative size"),
    "tensor type": (weighted(lambda w: setattr(w, "data_type", 77)), "the element type 77"),
    "no file": (external(location="gone.bin"), "'gone.bin', which is not beside the model"),
    "outside": (external(location="../gone.bin"), "'../gone.bin', which is not within"),
    "absolute": (external(location="/etc/hostname"), "which is not within the model's folder"),
    "no location": (external(), "'', which is not within"),
    "link": (external(location="link"), "'link', which is not within the model's folder"),
    "beyond the end": (external(location="data", offset="8"), "ends beyond the end of 'data'"),
    "length": (external(location="data", length="4"), "has 4 bytes where its shape needs 16"),
    "offset": (external(location="data", offset="a"), "is no number"),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_is_not_valid_is_refused(case: str, tmp_path: Path) -> None:
    made, message = INVALID[case]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "data").write_bytes(bytes(16))
    (tmp_path / "elsewhere").write_bytes(bytes(16))
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(UnreadableModel, match=f"is not a valid ONNX model: .*{message}"):
        open_onnx(folder / "model.onnx")


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    data = model().SerializeToString().replace(b"Relu", b"Re\xff\xfe")
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(UnreadableModel, match="not UTF-8"):
        open_onnx(tmp_path / "model.onnx")


def test_the_alias_of_the_default_domain(tmp_path: Path) -> None:
    made = model(helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx"), domain="ai.onnx")
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    found = open_onnx(tmp_path / "model.onnx")
    assert found.opset_imports == {"": 13}
    assert [(node.domain, node.op_type) for node in found.graph] == [("", "Relu")]
    assert found.graph.outputs[0].shape == (1, 1, 4, 4)


def test_external_data_and_plugins_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(24))
    made = external(location="data", offset="8", length="16")
    made.graph.node.append(helper.make_node("GridAnchor_TRT", ["y"], ["z"]))
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    found = open_onnx(tmp_path / "model.onnx")
    assert [node.op_type for node in found.graph] == ["Add", "GridAnchor_TRT"]
