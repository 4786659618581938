"""Opset conversion: operators that an opset or a toolchain lacks, written in others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir

from kexport.errors import PassFailed
from kexport.graph.bodies import graphs
from kexport.graph.edit import attribute, like, numbers, remove, required, small, take_over
from kexport.graph.emit import Emitter
from kexport.graph.passes import Pass

IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}
"""The IR version of each opset (onnx/docs/Versioning.md): older engines refuse newer ones."""

Lowering = Callable[[Emitter, ir.Node], ir.Value]


def convert_opset(
    opset: int,
    operators: frozenset[str] | None = None,
    float32_arguments: frozenset[str] = frozenset(),
) -> Pass:
    """Return the pass for an opset and a toolchain.

    Args:
        opset: the opset to write.
        operators: those that the toolchain imports, of any opset; None if it imports all.
        float32_arguments: inputs whose constants the toolchain reads as float32 whatever their
            type, such as "Clip.min".
    """

    @Pass
    def convert_opset(model: ir.Model) -> None:
        """Rewrite a model of opset 20 for an older opset or a toolchain with fewer operators.

        Gelu(x) ==> x * (1 + Erf(x / sqrt(2))) / 2, and likewise HardSwish, IsInf,
        LayerNormalization, Mish and Reciprocal; Reduce(x, axes) ==> Reduce(x) with the attribute
        axes; Split into a number of parts ==> Split by sizes; Clip(x, low, high) ==>
        Min(Max(x, low), high) and Pad(x, pads, value) ==> Pad(x, pads, Identity(value))

        Applies to operators that are newer than the opset or that the toolchain does not import,
        if a formula is known, in bodies too; others stay. The toolchain would refuse them. Clip and
        Pad change where their constants are float16 and the toolchain reads the memory as float32:
        TensorRT 8.2 and 8.4. Exact up to rounding.

        Raises:
            PassFailed: an operator of the graph cannot be written at that opset.
        """
        for graph in graphs(model.graph):
            for node in list(graph):
                if opset < 18 and node.op_type in REDUCTIONS:
                    _axes_to_attribute(node)
                if opset < 18 and node.op_type == "Split":
                    _parts_to_sizes(model.graph, node)
                if _is_misread(node, float32_arguments):
                    _compute_arguments(graph, node, opset)
                    continue
                since, lowering = LOWERINGS.get(node.op_type, (0, None))
                missing = operators is not None and node.op_type not in operators
                if lowering is not None and (missing or opset < since):
                    _replace(graph, node, lowering, opset)
        model.graph.opset_imports[""] = opset
        model.ir_version = IR_VERSIONS[opset]
        _refuse_newer(model.graph, opset)

    return convert_opset


def _replace(graph: ir.Graph, node: ir.Node, lowering: Lowering, opset: int) -> None:
    result = lowering(Emitter.before(graph, node, opset), node)
    like(result, node.outputs[0])
    take_over(node.outputs[0], result)
    remove(graph, node)


def _refuse_newer(graph: ir.Graph, opset: int) -> None:
    for node in graph.all_nodes():
        if node.domain != "":
            continue
        newer = f"is a {node.op_type}"
        if onnx.defs.has(node.op_type, opset):
            known = onnx.defs.get_schema(node.op_type, opset).attributes
            newer = next(
                (f"has the attribute {one}" for one in node.attributes if one not in known), ""
            )
        if newer:
            raise PassFailed(
                f"{node.name} {newer}, which opset {opset} does not have",
                hint="ask for a higher `toolchain.opset`, or for a target that reads one",
            )


def _parts_to_sizes(graph: ir.Graph, node: ir.Node) -> None:
    """Turn a number of parts into their sizes, as up to opset 17; the last one may be smaller.

    Without either, the parts have equal sizes.
    """
    parts = node.attributes.pop("num_outputs", None)
    x = required(node, 0)
    axis = int(attribute(node, "axis", 0))
    extent = None if x.shape is None else x.shape[axis]
    if parts is None or not isinstance(extent, int) or extent % parts.as_int() == 0:
        return
    size = -(-extent // parts.as_int())
    sizes = [*([size] * (parts.as_int() - 1)), extent - size * (parts.as_int() - 1)]
    node.resize_inputs(2)
    node.replace_input_with(1, numbers(graph, f"{node.name}.split", np.asarray(sizes, np.int64)))


def _axes_to_attribute(node: ir.Node) -> None:
    """Turn axes into an attribute, as up to opset 17; TensorRT 8 silently ignores an input."""
    unchanged = node.attributes.pop("noop_with_empty_axes", None)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    axes = np.zeros(0, np.int64) if given is None else small(given)
    if axes is None:
        raise PassFailed(
            f"{node.name} computes its axes at run time, which opset 17 and below cannot express",
            hint="ask for `toolchain.opset=18` or higher",
        )
    if not axes.size and unchanged is not None and unchanged.as_int():
        raise PassFailed(
            f"{node.name} reduces no axis, which opset 17 and below cannot express",
            hint="ask for `toolchain.opset=18` or higher",
        )
    if given is None:
        return
    node.resize_inputs(1)
    node.attributes["axes"] = ir.AttrInt64s("axes", [int(axis) for axis in axes])


def _is_misread(node: ir.Node, float32_arguments: frozenset[str]) -> bool:
    """Whether the toolchain reads a float16 argument of a node as float32."""
    names = {"Clip": ("Clip.min", "Clip.max"), "Pad": ("", "Pad.constant_value")}
    return any(
        name in float32_arguments and value is not None and value.dtype == ir.DataType.FLOAT16
        for name, value in zip(names.get(node.op_type, ()), node.inputs[1:], strict=False)
    )


def _compute_arguments(graph: ir.Graph, node: ir.Node, opset: int) -> None:
    """Make tensors of the constants, which are read by their type."""
    e = Emitter.before(graph, node, opset)
    if node.op_type == "Pad":
        node.replace_input_with(2, e("Identity", required(node, 2)))
        return
    result = required(node, 0)
    for op_type, bound in zip(("Max", "Min"), node.inputs[1:], strict=False):
        result = result if bound is None else e(op_type, result, bound)
    like(result, node.outputs[0])
    take_over(node.outputs[0], result)
    remove(graph, node)


def _gelu(e: Emitter, node: ir.Node) -> ir.Value:
    """Emit x * (1 + erf(x / sqrt 2)) / 2, or its tanh form (Hendrycks and Gimpel, 2016)."""
    x = required(node, 0)
    if attribute(node, "approximate", "none") == "tanh":
        cube = e("Mul", e("Mul", x, x), x)
        inner = e("Add", x, e("Mul", cube, e.number(0.044715, x)))
        bell = e("Tanh", e("Mul", inner, e.number(math.sqrt(2 / math.pi), x)))
    else:
        # ONNX Runtime 1.31 fuses the formula to one Gelu only in this form, with a Div
        bell = e("Erf", e("Div", x, e.number(math.sqrt(2), x)))
    half = e("Mul", x, e.number(0.5, x))
    return e("Mul", half, e("Add", bell, e.number(1.0, x)))


def _layer_normalization(e: Emitter, node: ir.Node) -> ir.Value:
    """Emit (x - mean) / sqrt(variance + epsilon) * scale + shift (Ba et al., 2016)."""
    x = required(node, 0)
    rank = len(x.shape or ())
    axes = list(range(int(attribute(node, "axis", -1)) % rank, rank))
    centred = e("Sub", x, e("ReduceMean", x, axes=axes))
    variance = e("ReduceMean", e("Mul", centred, centred), axes=axes)
    epsilon = e.number(float(attribute(node, "epsilon", 1e-5)), x)
    y = e("Div", centred, e("Sqrt", e("Add", variance, epsilon)))
    y = e("Mul", y, required(node, 1))
    return e("Add", y, required(node, 2)) if len(node.inputs) > 2 and node.inputs[2] else y


def _hard_swish(e: Emitter, node: ir.Node) -> ir.Value:
    x = required(node, 0)
    return e("Mul", x, e("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def _mish(e: Emitter, node: ir.Node) -> ir.Value:
    """Emit x * tanh(softplus(x)) (Misra, 2019)."""
    x = required(node, 0)
    return e("Mul", x, e("Tanh", e("Softplus", x)))


def _is_inf(e: Emitter, node: ir.Node) -> ir.Value:
    """Emit |x| = inf; x = inf or -x = inf where one sign counts."""
    x = required(node, 0)
    positive, negative = (
        int(attribute(node, f"detect_{sign}", 1)) for sign in ("positive", "negative")
    )
    if not positive:
        x = e("Neg", x)
    elif negative:
        x = e("Abs", x)
    return e("Equal", x, e.number(math.inf if positive or negative else math.nan, x))


def _reciprocal(e: Emitter, node: ir.Node) -> ir.Value:
    x = required(node, 0)
    return e("Div", e.number(1.0, x), x)


REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)
"""Reductions that got their axes as an input with opset 18; ReduceSum did with 13."""

LOWERINGS: dict[str, tuple[int, Lowering]] = {
    "Gelu": (20, _gelu),
    "HardSwish": (14, _hard_swish),
    "IsInf": (10, _is_inf),
    "LayerNormalization": (17, _layer_normalization),
    "Mish": (18, _mish),
    "Reciprocal": (6, _reciprocal),
}
"""Operator: the opset that introduced it, and the function that emits its replacement."""
