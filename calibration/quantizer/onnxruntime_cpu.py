"""Quantization scheme of ONNX Runtime on a CPU: chains of integer operators."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, asymmetric_qparams
from kexport.calibration.quantizer.residual_streams import float_streams
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, small, sole_user
from kexport.passes.integer_relu_pad_max import has_integer_form
from kexport.passes.pipeline import GraphFormat, passes_for

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
    integer kernels have no float result. Gemm has one, and uses it unless a Conv, Gemm or MatMul
    reads it; and so have projections into a residual stream, which stays in float
    (`residual_streams`).

    Args:
        model: a simplified float32 graph.
        floats: names of nodes that stay in float.
    """
    placer = _Placer(model, floats)
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
    def __init__(self, model: ir.Model, floats: frozenset[str]) -> None:
        self._floats, self._streams = floats, float_streams(model)
        self._nodes: set[str] = set()
        self._weights: set[str] = set()
        self._edges: set[tuple[str, int]] = set()
        self._quantized: dict[ir.Value, set[ir.Value]] = {}
        """Each quantized tensor, with those that share its parameters."""

    def visit(self, node: ir.Node) -> None:
        if node.name in self._floats or not node.inputs or node.inputs[0] is None:
            return
        if node in self._streams.sums:
            return
        if node.op_type in WEIGHTED and _has_weights(node):
            self._place_weighted(node)
        elif node.op_type in ELEMENTWISE and self._reads_integers(node):
            self._place_elementwise(node)
        elif node.inputs[0] in self._quantized and (
            node.op_type in QUANTIZE_AGNOSTIC or has_integer_form(node)
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
        if node in self._streams.projections:
            return
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
    finish=passes_for(GraphFormat(precision="int8"), "quantize"),
    avoid_saturation=True,
)
"""Chains of integer kernels on any CPU, with or without VNNI."""
