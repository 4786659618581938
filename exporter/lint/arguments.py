"""Lint rules for the arguments of an operator: attributes, types, ranks, inputs that are computed.

What needs no more than a row is in `kexport.lint.limits`, and in targets/tensorrt.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from kexport.lint.context import (
    LintContext,
    Violation,
    at_node,
    at_value,
    input_at,
    input_named,
    is_constant,
    is_settled,
    numbers,
    type_name,
)
from kexport.lint.limits import ATTRIBUTES, RANKS, TYPES

POOLS = ("AveragePool", "LpPool", "MaxPool")
RECURRENT = ("GRU", "LSTM", "RNN")
LARGEST_RANK = 8
"""Dims::MAX_DIMS of TensorRT."""
LARGEST_K = 3840
"""The largest K of ITopKLayer."""
BROADCAST = frozenset(
    {"Add", "And", "Div", "Equal", "Greater", "Less", "LpNormalization", "Max", "Mean", "Min"}
    | {"Mul", "Or", "Pow", "ReduceLogSumExp", "Sub", "Sum", "Xor"}
)
"""Operators whose importer broadcasts, even inputs of one shape."""
BY_RANK = ("Gemm", "PRelu")
"""Operators whose importer broadcasts inputs of different ranks."""
RTX_PLUGINS = frozenset({"DeformConv", "NonMaxSuppression", "NonZero", "RoiAlign"})
"""Operators that need a plugin or a kernel that TensorRT for RTX 1.7.1 does not have."""


def attributes(context: LintContext) -> Iterator[Violation]:
    """Find attributes with values that are not supported."""
    for row in ATTRIBUTES:
        if context.release not in row.releases:
            continue
        for node in context.nodes(row.operator):
            found = node.attributes.get(row.attribute)
            if found is None or found.value in row.allowed:
                continue
            if row.given is None or _text(node, row.given[0]) == row.given[1]:
                shown = "given" if found.type == ir.AttributeType.TENSOR else found.value
                yield at_node(node, f"{row.attribute} is {shown}{_with(row.given)}", row.source)
    for node in context.nodes(*POOLS):
        attribute = node.attributes.get("dilations")
        if attribute is not None and set(attribute.as_ints()) != {1}:
            yield at_node(node, f"dilations are {list(attribute.as_ints())}")


def input_types(context: LintContext) -> Iterator[Violation]:
    """Find inputs of a type that the importer of their operator refuses."""
    for row in TYPES:
        if context.release not in row.releases:
            continue
        for node in context.nodes(*row.operators):
            if row.computed and all(is_constant(input_at(node, place)) for place in row.computed):
                continue
            for place in row.inputs:
                name = read_as(context, input_at(node, place))
                if name in row.refused:
                    yield at_node(node, f"it takes {name}", row.source)
                    break
    for node in context.nodes("Mod"):
        name = read_as(context, input_at(node, 0))
        by_c = node.attributes.get("fmod")
        if name not in (None, "int32", "int64") and (by_c is None or not by_c.as_int()):
            yield at_node(node, f"it takes {name}, and fmod is 0")


def computed_input(context: LintContext) -> Iterator[Violation]:
    """Find computed inputs that must be constants; quantised weights count as constants."""
    wanted = [name.split(".") for name in context.rules.constant_inputs]
    for operator, name in wanted:
        for node in context.nodes(operator):
            value = input_named(context, node, name)
            if not (is_settled(context, value) or _dequantized(value)):
                yield at_node(node, f"its {name} is computed")


def training(context: LintContext) -> Iterator[Violation]:
    """Find Dropout whose training mode is not a constant of false."""
    for node in context.nodes("Dropout"):
        mode = input_at(node, 2)
        if mode is not None:
            held = numbers(mode)
            if held is None or held.any():
                what = "computed" if held is None else "true"
                yield at_node(node, f"its training_mode is {what}")


def float_shape(context: LintContext) -> Iterator[Violation]:
    """Find floats from which a shape follows, and that follow from the values of an input."""
    for node in context.nodes("OneHot", "Range", "Resize", "Upsample"):
        if node.op_type == "Range":
            places: tuple[int, ...] = (0, 1, 2)
        else:
            places = (2,) if node.op_type == "Resize" and context.opset > 10 else (1,)
        values = [value for place in places if (value := input_at(node, place)) is not None]
        if any(type_name(value.dtype) in ("float32", "float64") for value in values):
            static = node.op_type == "Range" and context.release < (8, 4)
            if static and not all(map(is_constant, values)):
                yield at_node(node, "it is of floats that are computed")
            elif any(_from_data(value, set()) for value in values):
                yield at_node(node, "its floats depend on an input of the network")


def old_broadcast(context: LintContext) -> Iterator[Violation]:
    """Find operators that broadcast before opset 7."""
    if context.opset >= 7:
        return
    for node in context.nodes(*BROADCAST):
        yield at_node(node, f"it broadcasts, at opset {context.opset}")
    for node in context.nodes(*BY_RANK):
        ranks = {len(v.shape) for v in node.inputs if v is not None and v.shape is not None}
        if len(ranks) > 1:
            yield at_node(node, f"it broadcasts, at opset {context.opset}")


def rank(context: LintContext) -> Iterator[Violation]:
    """Find tensors with more axes than TensorRT has, or than an operator is imported with."""
    for value in context.model.graph.inputs:
        if value.shape is not None and len(value.shape) > LARGEST_RANK:
            yield at_value(value, f"the input has {len(value.shape)} axes")
    for node in context.nodes():
        ranks = [len(value.shape) for value in node.outputs if value.shape is not None]
        if ranks and max(ranks) > LARGEST_RANK:
            yield at_node(node, f"it gives {max(ranks)} axes")
    for row in RANKS:
        for node in context.nodes(*row.operators):
            taken = input_at(node, 0)
            shape = None if taken is None else taken.shape
            if shape is not None and not row.lowest <= len(shape) <= row.highest:
                yield at_node(node, f"it takes {len(shape)} axes", row.source)


def resized_axes(context: LintContext) -> Iterator[Violation]:
    """Find linear and cubic Resize along an axis that is not among the last three or two."""
    for node in context.nodes("Resize", "Upsample"):
        last = {"linear": 3, "bilinear": 3, "cubic": 2}.get(_text(node, "mode"))
        before, after = input_at(node, 0), node.outputs[0]
        if last is not None and before is not None and before.shape is not None and after.shape:
            pairs = list(zip(before.shape, after.shape, strict=False))[:-last]
            changed = [
                axis
                for axis, (old, new) in enumerate(pairs)
                if isinstance(old, int) and isinstance(new, int) and old != new
            ]
            if changed:
                yield at_node(node, f"{_text(node, 'mode')} along axis {changed[0]}")
        axes = node.attributes.get("axes")
        if axes is not None and before is not None and not is_constant(input_at(node, 2)):
            every = None if before.shape is None else list(range(len(before.shape)))
            if list(axes.as_ints()) != every:
                yield at_node(node, "it has axes, and its scales are computed")


def attention(context: LintContext) -> Iterator[Violation]:
    """Find Attention with arguments that have no layer in TensorRT."""
    for node in context.nodes("Attention"):
        key, value = input_at(node, 1), input_at(node, 2)
        causal = node.attributes.get("is_causal")
        if causal is not None and causal.as_int() and input_at(node, 3) is not None:
            yield at_node(node, "it is causal and has a mask")
        if input_at(node, 4) is not None:
            yield at_node(node, "it has past keys")
        shapes = [None if v is None or v.shape is None else list(v.shape) for v in (key, value)]
        if None not in shapes and shapes[0] != shapes[1]:
            yield at_node(node, "keys and values have different shapes")


def top_k(context: LintContext) -> Iterator[Violation]:
    """Find TopK of more elements than TensorRT sorts."""
    for node in context.nodes("TopK"):
        given = node.attributes.get("k")
        held = numbers(input_at(node, 1)) if given is None else None
        k = given.as_int() if given is not None else 0 if held is None else int(held.max(initial=0))
        if k > LARGEST_K:
            yield at_node(node, f"K is {k}")


def rtx_plugin(context: LintContext) -> Iterator[Violation]:
    """Find operators that TensorRT for RTX has no plugin for."""
    if context.toolchain.product == "TensorRT-RTX":
        for node in context.nodes(*RTX_PLUGINS):
            yield at_node(node, "its plugin is missing")
        for node in context.nodes("ScatterElements"):
            if _text(node, "reduction") not in ("", "none"):
                yield at_node(node, "the plugin for its reduction is missing")


def vector_times_stack(context: LintContext) -> Iterator[Violation]:
    """Find MatMul of a vector with a stack of matrices, from TensorRT 11 on."""
    if context.release >= (11,):
        for node in context.nodes("MatMul"):
            ranks = [None if v is None or v.shape is None else len(v.shape) for v in node.inputs]
            if ranks[0] == 1 and ranks[1] is not None and ranks[1] > 2:
                yield at_node(node, f"a vector times {ranks[1]} axes")


def sparse(context: LintContext) -> Iterator[Violation]:
    """Find sparse initializers."""
    for name in context.sparse:
        yield Violation(name, "", "the initializer is sparse")


def layout(context: LintContext) -> Iterator[Violation]:
    """Find recurrent operators whose first axis is the batch."""
    for node in context.nodes(*RECURRENT):
        found = node.attributes.get("layout")
        if found is not None and found.as_int():
            yield at_node(node, f"layout is {found.as_int()}")


def reduced_scatter(context: LintContext) -> Iterator[Violation]:
    """Find ScatterElements and ScatterND with a reduction, which TensorRT 8 does not read."""
    if context.release < (10,):
        for node in context.nodes("ScatterElements", "ScatterND"):
            if _text(node, "reduction") not in ("", "none"):
                yield at_node(node, f"reduction is {_text(node, 'reduction')}")


def misread_argument(context: LintContext) -> Iterator[Violation]:
    """Find float16 constants that an importer reads as float32, whatever their type."""
    for operator, name in (name.split(".") for name in context.rules.float32_arguments):
        for node in context.nodes(operator):
            given = input_named(context, node, name)
            if given is not None and is_constant(given) and given.dtype == ir.DataType.FLOAT16:
                yield at_node(node, f"its {name} is a float16 constant")


def read_as(context: LintContext, value: ir.Value | None) -> str | None:
    """Return the type that an input has for the importer, which casts INT64 and DOUBLE down."""
    name = type_name(None if value is None else value.dtype)
    if name == "int64" and "int64" not in context.rules.types:
        return "int32"
    return name


def _from_data(value: ir.Value, seen: set[ir.Value]) -> bool:
    """Whether a value follows from floats that an input of the network holds."""
    if value in seen or is_constant(value):
        return False
    seen.add(value)
    maker = value.producer()
    if maker is None:  # an integer can be an input that a profile has values for
        return value.is_graph_input() and type_name(value.dtype) in ("float32", "float64")
    if maker.op_type in ("Shape", "Size"):
        return False
    return any(one is not None and _from_data(one, seen) for one in maker.inputs)


def _text(node: ir.Node, name: str) -> str:
    found = node.attributes.get(name)
    return "" if found is None else found.as_string()


def _with(given: tuple[str, object] | None) -> str:
    return "" if given is None else f" with {given[1]}"


def _dequantized(value: ir.Value | None) -> bool:
    """Whether the value is a constant after QuantizeLinear, DequantizeLinear, or both."""
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return False
    return is_constant(maker.inputs[0]) or _dequantized(maker.inputs[0])
