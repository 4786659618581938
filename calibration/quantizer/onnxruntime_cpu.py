"""Where ONNX Runtime computes in integers on a CPU."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, affine
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, small, sole_user
from kexport.passes.integer_relu_pad_max import has_integer_form
from kexport.passes.pipeline import GraphFormat, passes_for

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators whose multiply-adds are worth it: they read integers, wherever these come from."""

ELEMENTWISE = frozenset(
    {"Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid"}
)
"""Operators with integer kernels that are used between such, where all that they read is held in
integers already."""

MOVING = frozenset(
    {"Expand", "Flatten", "Gather", "MaxPool", "ReduceMax", "ReduceMin", "Reshape", "Slice"}
    | {"Squeeze", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators that only choose or move numbers, so that what they make stays on their input's grid.

Both lists are those of ONNX Runtime's QDQ selectors
(onnxruntime/core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc).
"""

ENDING = frozenset({"Relu", "Clip"})
"""Activations that the QuantizeLinear behind them takes over, by where its integers end."""


def place(model: ir.Model, floats: frozenset[str] = frozenset()) -> Placement:
    """The placement with which ONNX Runtime runs a model as chains of integer operators.

    Everything that an integer operator makes passes through integers, behind its activation, for
    all readers: a kernel for integers has no float result. Only Gemm has one, which it uses unless
    a Conv, Gemm or MatMul reads it.

    Args:
        model: a simplified float32 graph.
        floats: names of nodes that stay float.
    """
    placer = _Placer(floats)
    for node in model.graph:
        placer.visit(node)
    return placer.placement()


def ending(node: ir.Node) -> ir.Value:
    """What `node` makes, behind the activation that ends it where that is its only reader."""
    value = node.outputs[0]
    reader = sole_user(value)
    if reader is None or reader.op_type not in ENDING or reader.inputs[0] is not value:
        return value
    ends = [small(end) for end in reader.inputs[1:] if end is not None]
    return value if any(end is None for end in ends) else reader.outputs[0]


def grid(value: ir.Value, extent: Range) -> QParams:
    """The uint8 grid of a tensor: that of its bytes where it has such, or one that covers `extent`.

    ONNX Runtime drops a Clip before a QuantizeLinear only where the largest integer stands for no
    more than the Clip's end, in float32 and to within 2^-23 (clip_quantizelinear.cc), so the scale
    steps down until it does.
    """
    node = value.producer()
    whole = _bytes_behind(node)
    if whole is not None:
        return QParams(np.ones((), np.float32), np.asarray(whole, np.uint8), "uint8")
    found = affine(extent)
    if node is None or node.op_type != "Clip":
        return found
    highest = small(node.inputs[2]) if len(node.inputs) > 2 else None
    scale, steps = found.scale, np.float32(255 - int(found.zero_point))
    while highest is not None and scale * steps - highest > np.finfo(np.float32).eps:
        scale = np.nextafter(scale, np.float32(0))
    return QParams(np.asarray(scale), found.zero_point, found.dtype)


def _bytes_behind(node: ir.Node | None) -> int | None:
    """The zero point with which uint8 is what `node` makes by a Cast, or by an Add behind it."""
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
        self._held: dict[ir.Value, set[ir.Value]] = {}
        """Each tensor that is held in integers, with those that share its grid."""

    def visit(self, node: ir.Node) -> None:
        if node.name in self._floats or not node.inputs or node.inputs[0] is None:
            return
        if node.op_type in WEIGHTED and _has_weights(node):
            self._weigh(node)
        elif node.op_type in ELEMENTWISE and self._reads_integers(node):
            self._compute(node)
        elif (node.op_type in MOVING or has_integer_form(node)) and node.inputs[0] in self._held:
            self._move(node)

    def placement(self) -> Placement:
        for value in self._held:
            self._edges.update((use.node.name or "", use.idx) for use in value.uses())
        groups = {id(group): group for group in self._held.values() if len(group) > 1}
        return Placement(
            frozenset(self._nodes),
            frozenset(self._edges),
            tuple(frozenset(value.name or "" for value in group) for group in groups.values()),
            frozenset(self._weights),
        )

    def _weigh(self, node: ir.Node) -> None:
        result = ending(node)
        if node.op_type != "Gemm" and result.is_graph_output():
            return  # no kernel gives floats, and the output must stay exact
        self._nodes.add(node.name or "")
        self._weights.add(node.name or "")
        self._edges.add((node.name or "", 0))
        if node.op_type != "Gemm" or any(
            use.node.op_type in WEIGHTED and use.node.name not in self._floats
            for use in result.uses()
        ):
            self._hold(result)

    def _compute(self, node: ir.Node) -> None:
        # the integer form of a Concat takes no Relu over
        result = node.outputs[0] if node.op_type == "Concat" else ending(node)
        if result.is_graph_output():
            return
        self._nodes.add(node.name or "")
        self._edges.update((node.name or "", index) for index in range(len(node.inputs)))
        self._hold(result)
        if node.op_type == "Concat":
            for value in node.inputs:
                if value is not None and self._may_share(value):
                    self._tie(value, result)

    def _move(self, node: ir.Node) -> None:
        if node.outputs[0].is_graph_output():
            return
        self._nodes.add(node.name or "")
        self._hold(node.outputs[0])
        if node.inputs[0] is not None:
            self._tie(node.inputs[0], node.outputs[0])

    def _hold(self, value: ir.Value) -> None:
        self._held[value] = {value}

    def _tie(self, one: ir.Value, other: ir.Value) -> None:
        group = self._held[one] | self._held[other]
        for value in group:
            self._held[value] = group

    def _may_share(self, value: ir.Value) -> bool:
        """Whether a Concat may widen the grid of what it reads, to copy instead of computing.

        Nobody else reads it, so that a grid of its own would only be one more rounding; and no
        Clip ends there, which needs its own.
        """
        node = value.producer()
        return sole_user(value) is not None and (node is None or node.op_type != "Clip")

    def _reads_integers(self, node: ir.Node) -> bool:
        data = [value for value in node.inputs if value is not None and constant(value) is None]
        return bool(data) and all(value in self._held for value in data)


def _has_weights(node: ir.Node) -> bool:
    weights = constant(node.inputs[1])
    if weights is None or weights.dtype != ir.DataType.FLOAT:
        return False
    plain = attribute(node, "alpha", 1.0) == 1.0 == attribute(node, "beta", 1.0)
    return plain and (node.op_type == "Conv" or len(weights.shape) == 2)


ONNXRUNTIME_CPU = Scheme(
    place,
    grid,
    finish=passes_for(GraphFormat(precision="int8"), "quantize"),
    paired=True,
)
"""The form that ONNX Runtime runs as chains of integer kernels on any CPU, with or without VNNI."""
