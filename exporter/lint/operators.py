"""Lint rules for operators, their attributes, and inputs that must be constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx.defs
import onnx_ir as ir

from kexport.lint.context import LintContext, Violation, at_node, at_value, input_at, is_constant

REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)
"""Reductions whose axes are an input since opset 18; those of ReduceSum are since opset 13."""

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
"""Operator, attribute, and the values that are documented as supported in every release of
TensorRT."""

OUTPUTS = {"LayerNormalization": 1, "MaxPool": 1}
"""Operator -> number of outputs that are supported, if that is not all."""


def opset(context: LintContext) -> Iterator[Violation]:
    """Find an opset newer than the newest that the parser is documented to read."""
    if context.opset > context.rules.opset_cap:
        cap = context.rules.opset_cap
        yield Violation("", "", f"opset {context.opset}, documented up to {cap}")


def unknown(context: LintContext) -> Iterator[Violation]:
    """Find operators of ONNX's default domain that the parser does not import."""
    for node in context.nodes():
        if node.op_type not in context.rules.operators:
            yield at_node(node, "the operator is not imported")


def contributed(context: LintContext) -> Iterator[Violation]:
    """Find operators of ONNX Runtime's domain or ai.onnx.ml, which the parser does not import."""
    for node in _foreign(context):
        if node.domain.startswith(("com.microsoft", "ai.onnx")):
            yield at_node(node, f"an operator of {node.domain}")


def plugin(context: LintContext) -> Iterator[Violation]:
    """Find operators of any other domain, which need a plugin of their name."""
    for node in _foreign(context):
        if not node.domain.startswith(("com.microsoft", "ai.onnx")):
            yield at_node(node, f"an operator of {node.domain}")


def functions(context: LintContext) -> Iterator[Violation]:
    """Find calls of functions that the model defines."""
    if not context.rules.local_functions:
        for node in context.model.graph.all_nodes():
            if node.op_identifier() in context.model.functions:
                yield at_node(node, f"a function of the model, {node.domain}")


def axes_input(context: LintContext) -> Iterator[Violation]:
    """Find reductions whose axes are an input, for a parser that reads only the attribute."""
    if not context.rules.axes_inputs:
        for node in context.nodes(*REDUCTIONS):
            if input_at(node, 1) is not None:
                yield at_node(node, "its axes are an input, as in opset 18")


def split_count(context: LintContext) -> Iterator[Violation]:
    """Find Split with a number of parts, which opset 18 introduced."""
    if not context.rules.axes_inputs:
        for node in context.nodes("Split"):
            if "num_outputs" in node.attributes:
                yield at_node(node, "it has num_outputs, as in opset 18")


def computed_input(context: LintContext) -> Iterator[Violation]:
    """Find computed inputs that must be constants; quantised weights count as constants."""
    wanted = [name.split(".") for name in context.rules.constant_inputs]
    for node in context.nodes(*{operator for operator, _ in wanted}):
        names = [formal.name for formal in onnx.defs.get_schema(node.op_type, context.opset).inputs]
        for operator, name in wanted:
            if operator == node.op_type and name in names:
                value = input_at(node, names.index(name))
                if not (is_constant(value) or _dequantized(value)):
                    yield at_node(node, f"its {name} is computed")


def attributes(context: LintContext) -> Iterator[Violation]:
    """Find attributes with values that are not supported."""
    for operator, name, allowed in ATTRIBUTES:
        for node in context.nodes(operator):
            attribute = node.attributes.get(name)
            if attribute is not None and attribute.value not in allowed:
                yield at_node(node, f"{name} is {attribute.value}")
    for node in context.nodes(*POOLS):
        attribute = node.attributes.get("dilations")
        if attribute is not None and set(attribute.as_ints()) != {1}:
            yield at_node(node, f"dilations are {list(attribute.as_ints())}")


def outputs(context: LintContext) -> Iterator[Violation]:
    """Find used outputs beyond those that are supported."""
    for node in context.nodes(*OUTPUTS):
        for value in node.outputs[OUTPUTS[node.op_type] :]:
            if value.uses() or value.is_graph_output():
                yield at_node(node, f"its output {value.name} is used")


def flat_pool(context: LintContext) -> Iterator[Violation]:
    """Find pooling along one axis."""
    for node in context.nodes(*POOLS):
        value = input_at(node, 0)
        if value is not None and value.shape is not None and len(value.shape) == 3:
            yield at_node(node, "it pools along one axis")


def open_axes(context: LintContext) -> Iterator[Violation]:
    """Find inputs with an axis of no fixed size."""
    for value in context.model.graph.inputs:
        if value.shape is not None and not value.is_initializer():
            free = [axis for axis, size in enumerate(value.shape) if not isinstance(size, int)]
            if free:
                yield at_value(value, f"axis {', '.join(map(str, free))} has no fixed size")


def resize_of_branch(context: LintContext) -> Iterator[Violation]:
    """Find If -> Transpose -> Resize on TensorRT 11.1 and 11.2."""
    if context.release[:2] in ((11, 1), (11, 2)):
        for node in context.nodes("Resize"):
            transpose = _maker(node, "Transpose")
            if transpose is not None and _maker(transpose, "If") is not None:
                yield at_node(node, "it resizes the output of an If after a Transpose")


def _foreign(context: LintContext) -> Iterator[ir.Node]:
    for node in context.model.graph.all_nodes():
        if node.domain and node.op_identifier() not in context.model.functions:
            yield node


def _dequantized(value: ir.Value | None) -> bool:
    """Whether the value is a constant after QuantizeLinear, DequantizeLinear, or both."""
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return False
    return is_constant(maker.inputs[0]) or _dequantized(maker.inputs[0])


def _maker(node: ir.Node, op_type: str) -> ir.Node | None:
    value = input_at(node, 0)
    maker = None if value is None else value.producer()
    return maker if maker is not None and maker.op_type == op_type else None
