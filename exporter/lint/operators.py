"""Lint rules for operators that are imported or not, and for the graph that they are in."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from kexport.lint.arguments import POOLS
from kexport.lint.context import LintContext, Violation, at_node, at_value, input_at

REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)
"""Reductions whose axes are an input since opset 18; those of ReduceSum are since opset 13."""

OUTPUTS = {"Attention": 1, "LayerNormalization": 1, "MaxPool": 1}
"""Operator -> number of outputs that are supported, used or not, if that is not all."""


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
        for node in context.calls:
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


def outputs(context: LintContext) -> Iterator[Violation]:
    """Find outputs beyond those that are supported."""
    for node in context.nodes(*OUTPUTS):
        more = [value.name for value in node.outputs[OUTPUTS[node.op_type] :] if value.name]
        if more:
            yield at_node(node, f"it has the output {more[0]}")


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


def unprofiled(context: LintContext) -> Iterator[Violation]:
    """Find open axes without an optimisation profile."""
    return iter(()) if context.profiled else open_axes(context)


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


def _maker(node: ir.Node, op_type: str) -> ir.Node | None:
    value = input_at(node, 0)
    maker = None if value is None else value.producer()
    return maker if maker is not None and maker.op_type == op_type else None
