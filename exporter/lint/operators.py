"""Rules for operators, their attributes, and which of their inputs must be constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx.defs
import onnx_ir as ir

from kexport.lint.context import Place, Subject, at, at_value, given, is_constant

REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)
"""Those that got their axes as an input with opset 18; ReduceSum did with 13."""

POOLS = ("AveragePool", "LpPool", "MaxPool")

ATTRIBUTES: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("BatchNormalization", "training_mode", (0,)),
    ("GRU", "layout", (0,)),
    ("LSTM", "input_forget", (0,)),
    ("LSTM", "layout", (0,)),
    ("Resize", "antialias", (0,)),
    (
        "Resize",
        "coordinate_transformation_mode",
        (
            "half_pixel",
            "pytorch_half_pixel",
            "tf_half_pixel_for_nn",
            "asymmetric",
            "align_corners",
        ),
    ),
    ("Resize", "keep_aspect_ratio_policy", ("stretch",)),
    ("Resize", "mode", ("nearest", "linear")),
    ("ScatterND", "reduction", ("none",)),
    ("TopK", "sorted", (1,)),
)
"""Operator, attribute, and the values that every release of TensorRT is documented to take."""

OUTPUTS = {"LayerNormalization": 1, "MaxPool": 1}
"""How many outputs of an operator are supported where that is not all."""


def opset(subject: Subject) -> Iterator[Place]:
    """An opset above the one that the parser is documented to read."""
    if subject.opset > subject.rules.opset_cap:
        yield Place("", "", f"opset {subject.opset}, documented up to {subject.rules.opset_cap}")


def unknown(subject: Subject) -> Iterator[Place]:
    """An operator of ONNX's own domain that the parser does not import."""
    for node in subject.nodes():
        if node.op_type not in subject.rules.operators:
            yield at(node, "the operator is not imported")


def contributed(subject: Subject) -> Iterator[Place]:
    """An operator of ONNX Runtime's or of classical machine learning, which it does not import."""
    for node in _foreign(subject):
        if node.domain.startswith(("com.microsoft", "ai.onnx")):
            yield at(node, f"an operator of {node.domain}")


def plugin(subject: Subject) -> Iterator[Place]:
    """An operator of any other domain, which needs a plugin of its name."""
    for node in _foreign(subject):
        if not node.domain.startswith(("com.microsoft", "ai.onnx")):
            yield at(node, f"an operator of {node.domain}")


def functions(subject: Subject) -> Iterator[Place]:
    """A call of a function that the model defines."""
    if not subject.rules.local_functions:
        for node in subject.model.graph.all_nodes():
            if node.op_identifier() in subject.model.functions:
                yield at(node, f"a function of the model, {node.domain}")


def axes_input(subject: Subject) -> Iterator[Place]:
    """A reduction whose axes come as an input to a parser that reads the attribute only."""
    if not subject.rules.axes_inputs:
        for node in subject.nodes(*REDUCTIONS):
            if given(node, 1) is not None:
                yield at(node, "its axes are an input, as opset 18 has them")


def split_count(subject: Subject) -> Iterator[Place]:
    """Split into a number of parts, which came with opset 18."""
    if not subject.rules.axes_inputs:
        for node in subject.nodes("Split"):
            if "num_outputs" in node.attributes:
                yield at(node, "it says num_outputs, as opset 18 has it")


def computed_input(subject: Subject) -> Iterator[Place]:
    """An input that must be a constant, and is computed. Quantised weights count as constants."""
    wanted = [name.split(".") for name in subject.rules.constant_inputs]
    for node in subject.nodes(*{operator for operator, _ in wanted}):
        names = [formal.name for formal in onnx.defs.get_schema(node.op_type, subject.opset).inputs]
        for operator, name in wanted:
            if operator == node.op_type and name in names:
                value = given(node, names.index(name))
                if not (is_constant(value) or _dequantized(value)):
                    yield at(node, f"its {name} is computed")


def attributes(subject: Subject) -> Iterator[Place]:
    """An attribute of a value that is not supported."""
    for operator, name, allowed in ATTRIBUTES:
        for node in subject.nodes(operator):
            said = node.attributes.get(name)
            if said is not None and said.value not in allowed:
                yield at(node, f"{name} is {said.value}")
    for node in subject.nodes(*POOLS):
        said = node.attributes.get("dilations")
        if said is not None and set(said.as_ints()) != {1}:
            yield at(node, f"dilations are {list(said.as_ints())}")


def outputs(subject: Subject) -> Iterator[Place]:
    """A further output of an operator of which only the first is supported."""
    for node in subject.nodes(*OUTPUTS):
        for value in node.outputs[OUTPUTS[node.op_type] :]:
            if value.uses() or value.is_graph_output():
                yield at(node, f"its output {value.name} is used")


def flat_pool(subject: Subject) -> Iterator[Place]:
    """Pooling along one axis."""
    for node in subject.nodes(*POOLS):
        value = given(node, 0)
        if value is not None and value.shape is not None and len(value.shape) == 3:
            yield at(node, "it pools along one axis")


def open_axes(subject: Subject) -> Iterator[Place]:
    """An input with an axis of no fixed size."""
    for value in subject.model.graph.inputs:
        if value.shape is not None and not value.is_initializer():
            free = [axis for axis, size in enumerate(value.shape) if not isinstance(size, int)]
            if free:
                yield at_value(value, f"axis {', '.join(map(str, free))} has no fixed size")


def resize_of_branch(subject: Subject) -> Iterator[Place]:
    """If, Transpose and Resize in a row on 11.1 and 11.2."""
    if subject.release[:2] in ((11, 1), (11, 2)):
        for node in subject.nodes("Resize"):
            transpose = _maker(node, "Transpose")
            if transpose is not None and _maker(transpose, "If") is not None:
                yield at(node, "it resizes what comes from an If through a Transpose")


def _foreign(subject: Subject) -> Iterator[ir.Node]:
    for node in subject.model.graph.all_nodes():
        if node.domain and node.op_identifier() not in subject.model.functions:
            yield node


def _dequantized(value: ir.Value | None) -> bool:
    """Whether a constant is quantised, dequantised, or both on the way to here."""
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return False
    return is_constant(maker.inputs[0]) or _dequantized(maker.inputs[0])


def _maker(node: ir.Node, op_type: str) -> ir.Node | None:
    value = given(node, 0)
    maker = None if value is None else value.producer()
    return maker if maker is not None and maker.op_type == op_type else None
