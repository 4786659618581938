"""Quantization scheme of ONNX Runtime on a CPU: chains of integer operators."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, asymmetric_qparams, quantize_array
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, numbers, remove, small, sole_user, take_over
from kexport.graph.passes import Pass
from kexport.passes.average_pool_to_depthwise_conv import average_pool_to_depthwise_conv
from kexport.passes.batch_norm_to_depthwise_conv import batch_norm_to_depthwise_conv
from kexport.passes.round_input_shift import round_input_shift
from kexport.passes.swap_pool_and_conv import swap_pool_and_conv

INT32_MAX = 2**31 - 1

CHOOSING = frozenset({"Max", "Pad", "Relu"})
"""Operators that ONNX Runtime computes on uint8 and int8, and for which it has no QDQ form."""


def chooses(node: ir.Node) -> bool:
    """Return whether `on_integers` can rewrite `node`: it selects from its input and constants."""
    if node.op_type == "Pad":
        value = node.inputs[2] if len(node.inputs) > 2 else None
        constant = value is None or small(value) is not None
        return constant and attribute(node, "mode", "constant") == "constant"
    if node.op_type == "Max":
        return len(node.inputs) == 2 and small(node.inputs[1]) is not None
    return node.op_type == "Relu"


@Pass
def on_integers(model: ir.Model) -> None:
    """Run a Relu, Pad or Max with a constant on integers where its QDQ pairs are the same.

    DequantizeLinear -> Relu -> QuantizeLinear becomes a Clip at the zero point; the padding of a
    Pad and the constant of a Max are quantized with the parameters of the pair.
    """
    for node in list(model.graph):
        if node.op_type not in CHOOSING or not chooses(node):
            continue
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        behind = sole_user(node.outputs[0])
        if before is None or behind is None or not _same_qparams(before, behind):
            continue
        new = _of_integers(model.graph, node, before)
        result, old = new.outputs[0], behind.outputs[0]
        result.name, result.type, result.shape = f"{node.name}.integers", old.type, old.shape
        model.graph.insert_before(node, new)
        take_over(old, result)
        remove(model.graph, behind, node)
        if not before.outputs[0].uses():
            remove(model.graph, before)


def _of_integers(graph: ir.Graph, node: ir.Node, before: ir.Node) -> ir.Node:
    integers, scale, zero = before.inputs[:3]
    step, point = small(scale), small(zero)
    if step is None or point is None:
        raise ValueError(f"the quantization parameters of {before.name} are not constant")
    name = f"{node.name}.integers"
    qparams = QParams(step, point, "int8" if point.dtype == np.int8 else "uint8")

    def rounded(value: ir.Value | None) -> ir.Value | None:
        held = small(value)
        return (
            zero if held is None else numbers(graph, f"{name}.value", quantize_array(held, qparams))
        )

    if node.op_type == "Relu":
        return ir.node("Clip", [integers, zero], name=name)
    if node.op_type == "Max":
        return ir.node("Max", [integers, rounded(node.inputs[1])], name=name)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return ir.node("Pad", [integers, node.inputs[1], rounded(value), *node.inputs[3:]], name=name)


@Pass
def integer_bias(model: ir.Model) -> None:
    """Quantize the bias of a Conv or Gemm to int32; its scale is that of input times weights.

    Integer kernels add it to their sums (onnx/docs/Operators.md, QLinearConv, `B`).
    """
    for node in list(model.graph):
        if node.op_type not in ("Conv", "Gemm") or len(node.inputs) < 3:
            continue
        bias, scales = small(node.inputs[2]), [_scale(value) for value in node.inputs[:2]]
        if bias is None or scales[0] is None or scales[1] is None or bias.ndim != 1:
            continue
        step = (scales[0] * scales[1]).astype(np.float32) * np.ones(bias.shape, np.float32)
        integers = np.rint(bias.astype(np.float64) / step)
        if np.abs(integers).max(initial=0) > INT32_MAX:
            continue
        name = f"{node.name}.bias"
        inputs = [
            numbers(model.graph, f"{name}.quantized", integers.astype(np.int32)),
            numbers(model.graph, f"{name}.scale", step),
        ]
        read = ir.node("DequantizeLinear", inputs, {"axis": 0}, name=f"{name}.dequantized")
        result = read.outputs[0]
        result.name, result.shape = read.name, ir.Shape(bias.shape)
        result.type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.insert_before(node, read)
        node.replace_input_with(2, result)


def _scale(value: ir.Value | None) -> Array | None:
    """Return the scale of the DequantizeLinear that produces `value`."""
    node = None if value is None else value.producer()
    return small(node.inputs[1]) if node is not None and node.op_type == _READ else None


_READ, _WRITE = "DequantizeLinear", "QuantizeLinear"


def _same_qparams(read: ir.Node, write: ir.Node) -> bool:
    if read.op_type != _READ or write.op_type != _WRITE:
        return False
    ours, theirs = ([small(value) for value in node.inputs[1:3]] for node in (read, write))
    return all(
        one is not None and other is not None and np.array_equal(one, other)
        for one, other in zip(ours, theirs, strict=True)
    )


WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators with weights: their inputs are quantized whatever produces them."""

ELEMENTWISE = frozenset(
    {"Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid"}
)
"""Operators with integer kernels, which are used where all inputs are already quantized."""

QUANTIZE_AGNOSTIC = frozenset(
    {"Expand", "Flatten", "Gather", "MaxPool", "ReduceMax", "ReduceMin", "Reshape", "Slice"}
    | {"Squeeze", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators that only select or move elements, and so keep the parameters of their input.

Both lists are those of ONNX Runtime's QDQ selectors
(onnxruntime/core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc).
"""

FUSED_ACTIVATIONS = frozenset({"Relu", "Clip"})
"""Activations that the next QuantizeLinear subsumes: saturation clips for them."""


def place(model: ir.Model, floats: frozenset[str] = frozenset()) -> Placement:
    """Place the quantizers with which ONNX Runtime runs a model as chains of integer operators.

    The output of every integer operator is quantized, after its activation, for all readers:
    integer kernels have no float result. Only Gemm has one, and uses it unless a Conv, Gemm or
    MatMul reads it.

    Args:
        model: a simplified float32 graph.
        floats: names of nodes that stay in float.
    """
    placer = _Placer(floats)
    for node in model.graph:
        placer.visit(node)
    return placer.placement()


def fused_output(node: ir.Node) -> ir.Value:
    """Return the output of `node`, or that of the activation that is its only reader."""
    value = node.outputs[0]
    reader = sole_user(value)
    if reader is None or reader.op_type not in FUSED_ACTIVATIONS or reader.inputs[0] is not value:
        return value
    ends = [small(end) for end in reader.inputs[1:] if end is not None]
    return value if any(end is None for end in ends) else reader.outputs[0]


def activation_qparams(value: ir.Value, extent: Range) -> QParams:
    """Compute uint8 parameters: those of the tensor's own bytes, or ones that cover `extent`.

    ONNX Runtime removes a Clip before a QuantizeLinear only where the largest integer represents at
    most the upper bound of the Clip, in float32 and to within 2^-23 (clip_quantizelinear.cc), so
    the scale is decreased until it does.
    """
    node = value.producer()
    zero_point = _uint8_zero_point(node)
    if zero_point is not None:
        return QParams(np.ones((), np.float32), np.asarray(zero_point, np.uint8), "uint8")
    found = asymmetric_qparams(extent)
    if node is None or node.op_type != "Clip":
        return found
    highest = small(node.inputs[2]) if len(node.inputs) > 2 else None
    scale, steps = found.scale, np.float32(255 - int(found.zero_point))
    while highest is not None and scale * steps - highest > np.finfo(np.float32).eps:
        scale = np.nextafter(scale, np.float32(0))
    return QParams(np.asarray(scale), found.zero_point, found.dtype)


def _uint8_zero_point(node: ir.Node | None) -> int | None:
    """Find the zero point with which uint8 represents a Cast, or an Add after it."""
    shift = 0.0
    if node is not None and node.op_type == "Add":
        addend = small(node.inputs[1])
        shift = float(addend.reshape(())) if addend is not None and addend.size == 1 else 0.5
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Cast" or node.inputs[0] is None:
        return None
    is_bytes = node.inputs[0].dtype == ir.DataType.UINT8
    return int(-shift) if is_bytes and -shift in range(256) else None


class _Placer:
    def __init__(self, floats: frozenset[str]) -> None:
        self._floats = floats
        self._nodes: set[str] = set()
        self._weights: set[str] = set()
        self._edges: set[tuple[str, int]] = set()
        self._quantized: dict[ir.Value, set[ir.Value]] = {}
        """Each quantized tensor, with those that share its parameters."""

    def visit(self, node: ir.Node) -> None:
        if node.name in self._floats or not node.inputs or node.inputs[0] is None:
            return
        if node.op_type in WEIGHTED and _has_weights(node):
            self._place_weighted(node)
        elif node.op_type in ELEMENTWISE and self._reads_integers(node):
            self._place_elementwise(node)
        elif node.inputs[0] in self._quantized and (
            node.op_type in QUANTIZE_AGNOSTIC or chooses(node)
        ):
            self._place_agnostic(node)

    def placement(self) -> Placement:
        for value in self._quantized:
            self._edges.update((use.node.name or "", use.idx) for use in value.uses())
        groups = {id(group): group for group in self._quantized.values() if len(group) > 1}
        return Placement(
            frozenset(self._nodes),
            frozenset(self._edges),
            tuple(frozenset(value.name or "" for value in group) for group in groups.values()),
            frozenset(self._weights),
        )

    def _place_weighted(self, node: ir.Node) -> None:
        result = fused_output(node)
        if node.op_type != "Gemm" and result.is_graph_output():
            return  # integer kernels have no float result, and the output must stay exact
        self._nodes.add(node.name or "")
        self._weights.add(node.name or "")
        self._edges.add((node.name or "", 0))
        if node.op_type != "Gemm" or any(
            use.node.op_type in WEIGHTED and use.node.name not in self._floats
            for use in result.uses()
        ):
            self._quantize(result)

    def _place_elementwise(self, node: ir.Node) -> None:
        # the integer form of a Concat subsumes no Relu
        result = node.outputs[0] if node.op_type == "Concat" else fused_output(node)
        if result.is_graph_output():
            return
        self._nodes.add(node.name or "")
        self._edges.update((node.name or "", index) for index in range(len(node.inputs)))
        self._quantize(result)
        if node.op_type == "Concat":
            for value in node.inputs:
                if value is not None and self._may_share(value):
                    self._unify(value, result)

    def _place_agnostic(self, node: ir.Node) -> None:
        if node.outputs[0].is_graph_output():
            return
        self._nodes.add(node.name or "")
        self._quantize(node.outputs[0])
        if node.inputs[0] is not None:
            self._unify(node.inputs[0], node.outputs[0])

    def _quantize(self, value: ir.Value) -> None:
        self._quantized[value] = {value}

    def _unify(self, one: ir.Value, other: ir.Value) -> None:
        group = self._quantized[one] | self._quantized[other]
        for value in group:
            self._quantized[value] = group

    def _may_share(self, value: ir.Value) -> bool:
        """Return whether an input of a Concat may take its parameters, so that it only copies.

        The Concat is the only reader, so that separate parameters would only add a rounding; and no
        Clip produces the input, which needs parameters of its own.
        """
        node = value.producer()
        return sole_user(value) is not None and (node is None or node.op_type != "Clip")

    def _reads_integers(self, node: ir.Node) -> bool:
        data = [value for value in node.inputs if value is not None and constant(value) is None]
        return bool(data) and all(value in self._quantized for value in data)


def _has_weights(node: ir.Node) -> bool:
    weights = constant(node.inputs[1])
    if weights is None or weights.dtype != ir.DataType.FLOAT:
        return False
    plain = attribute(node, "alpha", 1.0) == 1.0 == attribute(node, "beta", 1.0)
    return plain and (node.op_type == "Conv" or len(weights.shape) == 2)


ONNXRUNTIME_CPU = Scheme(
    place,
    activation_qparams,
    prepare=(
        round_input_shift,
        batch_norm_to_depthwise_conv,
        swap_pool_and_conv,
        average_pool_to_depthwise_conv,
    ),
    finish=(on_integers, integer_bias),
    avoid_saturation=True,
)
"""Chains of integer kernels on any CPU, with or without VNNI."""
