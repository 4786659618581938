"""Where TensorRT computes in integers.

TensorRT reads pairs of QuantizeLinear and DequantizeLinear as the wish to compute what stands
behind them in int8. It fuses what follows a convolution, so pairs stand on what operators read and
not on what they make. The rules are those of NVIDIA's quantisers: TensorRT's tools/
tensorflow-quantization (written for Keras' Applications) and Model Optimizer's modelopt/onnx/
quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, symmetric
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, producer
from kexport.graph.shapes import extents

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose multiply-adds are worth it."""

NARROW = 16
"""Channels below which kernels for int8 are slower than others, but for the exceptions below."""

STEP = 8
"""What channels must be a multiple of where they are fewer."""

PASSING = frozenset({"Concat", "Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose"})
"""Operators that only choose or move numbers: TensorRT takes a pair from behind them to before."""

POOLS = frozenset({"AveragePool", "MaxPool"})


def place(model: ir.Model, floats: frozenset[str] = frozenset()) -> Placement:
    """The placement with which TensorRT computes a model in int8.

    - A Conv, ConvTranspose, Gemm or MatMul with constant weights reads integers, depthwise ones and
      the first too. Those whose kernels would be slower in int8 stay float: few channels (but for
      the first convolution), one pixel or one row (a classifier for one image, the gates of
      squeeze-and-excite).
    - An Add of a residual reads one branch as the convolution makes it, which is then fused with
      the Add, and the other from integers.
    - A pool whose numbers go to such an operator reads integers; a MaxPool leaves them on their
      grid.
    - A Concat makes integers where they are read; what it reads is on the same grid where others
      read that from integers.
    - The Mul of squeeze-and-excite reads both its inputs from integers; what is computed between a
      convolution and its activation (swish, hard-swish) reads none.

    Args:
        model: a simplified float32 graph, with shapes.
        floats: names of nodes that stay float.
    """
    placer = _Placer(model, floats)
    placer.weigh()
    placer.add()
    placer.scale()
    placer.pool()
    return placer.placement()


def grid(value: ir.Value, extent: Range) -> QParams:
    """The int8 grid of a tensor: symmetric, since TensorRT takes no zero point but 0."""
    return symmetric(extent)


class _Placer:
    def __init__(self, model: ir.Model, floats: frozenset[str]) -> None:
        self._graph, self._floats = model.graph, floats
        self._order = {node: index for index, node in enumerate(model.graph)}
        self._nodes: set[str] = set()
        self._weights: set[str] = set()
        self._edges: set[tuple[str, int]] = set()
        self._held: dict[ir.Value, None] = {}
        """The tensors that pass through integers for some reader."""
        self._leading: dict[ir.Value, bool] = {}

    def weigh(self) -> None:
        """What has weights."""
        for node in self._open(*WEIGHTED):
            if _worth(node):
                self._weights.add(node.name or "")
                self._read(node, 0)

    def add(self) -> None:
        """Residuals."""
        for node in self._open("Add"):
            branch = self._fused(node) if _same_shapes(node) else None
            if branch is not None:
                self._read(node, 1 - branch)

    def scale(self) -> None:
        """Squeeze-and-excite, and what it squeezes where that is held in integers."""
        for node in self._open("Mul"):
            if _gates(node) and self._leads(node.outputs[0]):
                self._read(node, 0)
                self._read(node, 1)
        for node in self._open("GlobalAveragePool"):
            if node.inputs[0] in self._held:
                self._read(node, 0)

    def pool(self) -> None:
        """Pools whose numbers are read from integers."""
        self._leading.clear()
        for node in self._open(*POOLS):
            if self._leads(node.outputs[0]):
                self._read(node, 0)

    def placement(self) -> Placement:
        """What was found."""
        return Placement(
            frozenset(self._nodes),
            frozenset(self._edges),
            tuple(self._tied()),
            frozenset(self._weights),
        )

    def _open(self, *op_types: str) -> Iterator[ir.Node]:
        """The nodes of these types that need not stay float."""
        for node in self._graph:
            if node.op_type in op_types and node.name not in self._floats:
                yield node

    def _read(self, node: ir.Node, index: int) -> None:
        value = node.inputs[index]
        assert value is not None, "only inputs that are there are asked for"
        self._nodes.add(node.name or "")
        self._edges.add((node.name or "", index))
        self._held[value] = None

    def _fused(self, node: ir.Node) -> int | None:
        """Which input of an Add is a convolution that is fused with it: the later of two."""
        found = []
        for index, value in enumerate(node.inputs):
            source = producer(value, "Conv")  # whose only reader is this node
            if source is not None and source.name in self._weights:
                found.append((self._order[source], index))
        return max(found)[1] if found else None

    def _leads(self, value: ir.Value) -> bool:
        """Whether a reader takes `value` from integers, perhaps after moving or averaging it."""
        if value not in self._leading:
            self._leading[value] = False  # for the way through this very value
            self._leading[value] = any(
                (use.node.name or "", use.idx) in self._edges
                or (use.node.op_type in PASSING | POOLS and self._leads(use.node.outputs[0]))
                for use in value.uses()
            )
        return self._leading[value]

    def _tied(self) -> list[frozenset[str]]:
        """Groups of held tensors between which numbers are only moved."""
        groups: dict[ir.Value, set[ir.Value]] = {value: {value} for value in self._held}
        for value in self._held:
            node = value.producer()
            if node is not None and node.op_type in PASSING:
                for source in node.inputs:
                    if source in groups and source is not None:
                        group = groups[source] | groups[value]
                        groups.update(dict.fromkeys(group, group))
        several = {id(group): group for group in groups.values() if len(group) > 1}
        return [frozenset(value.name or "" for value in group) for group in several.values()]


def _worth(node: ir.Node) -> bool:
    """Whether int8 is faster for what a node computes, and its weights can be int8."""
    weights = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if weights is None or weights.dtype != ir.DataType.FLOAT or node.inputs[0] is None:
        return False
    if node.op_type in ("Gemm", "MatMul"):
        return _worth_product(node, extents(weights))
    shape = node.outputs[0].shape
    pixels = list(shape or ())[2:]
    if pixels and all(size == 1 for size in pixels) and _one_pixel(node.inputs[0]):
        return False
    groups = attribute(node, "group", 1)
    makes, takes = (size * n for size, n in zip(extents(weights)[:2], (1, groups), strict=True))
    if node.op_type == "ConvTranspose":
        makes, takes = takes, makes
        return bool(groups == 1 and min(makes, takes) >= NARROW)
    return _wide_enough(makes, takes, groups, list(extents(weights)[2:]))


def _wide_enough(makes: int, takes: int, groups: int, kernel: list[int]) -> bool:
    """The conditions of Model Optimizer for convolutions in int8."""
    if groups > 1:
        return makes % STEP == 0 and (min(makes, takes) >= NARROW or min(kernel) >= 3)
    if min(makes, takes) >= NARROW:
        return True
    steps = makes % STEP == 0 or takes % STEP == 0
    return steps and max(makes, takes) >= NARROW and len(set(kernel)) == 1


def _worth_product(node: ir.Node, sizes: tuple[int, ...]) -> bool:
    plain = all(attribute(node, name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if len(sizes) != 2 or not plain or attribute(node, "transA", 0):
        return False
    first = node.inputs[0]
    rows = list((first.shape if first is not None else None) or ())[:-1]
    known = math.prod(size for size in rows if isinstance(size, int))
    return min(sizes) >= NARROW and known > 1


def _one_pixel(value: ir.Value) -> bool:
    sizes = list(value.shape or ())[2:]
    return bool(sizes) and all(size == 1 for size in sizes)


def _same_shapes(node: ir.Node) -> bool:
    one, other = node.inputs
    if one is None or other is None or one is other:
        return False
    if constant(one) is not None or constant(other) is not None:
        return False
    if one.shape is None or other.shape is None:
        return False
    return list(one.shape) == list(other.shape)


def _gates(node: ir.Node) -> bool:
    """Whether a Mul scales each channel of a tensor by a number that was computed."""
    one, other = node.inputs
    if one is None or other is None or constant(one) is not None or constant(other) is not None:
        return False
    return _one_pixel(one) != _one_pixel(other)


TENSORRT_EXPLICIT = Scheme(
    place, grid, why_float="int8 is no faster for so few channels, rows or pixels"
)
"""The form for TensorRT: symmetric int8 all over, with float32 scales and biases."""

TENSORRT_STRONGLY_TYPED = replace(TENSORRT_EXPLICIT, half_scales=True)
"""The same for an engine that takes its types from the graph, whose rest becomes float16."""
