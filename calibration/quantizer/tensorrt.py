"""Quantization schemes of TensorRT: explicit quantization by QDQ pairs.

TensorRT computes an operator in int8 where QDQ pairs precede it. It fuses operators into the
convolution before them, so pairs are placed on the inputs of operators and not on their outputs.
The rules are those of NVIDIA's quantizers: TensorRT's tools/tensorflow-quantization (written for
Keras' Applications) and Model Optimizer's modelopt/onnx/quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, symmetric_qparams
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, producer
from kexport.graph.roles import role_of
from kexport.graph.shapes import extents

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators with weights."""

MIN_CHANNELS = 16
"""Channels below which int8 kernels are slower than float ones (Model Optimizer's rule), with the
exceptions in `_has_fast_kernel`."""

CHANNEL_MULTIPLE = 8
"""Fewer channels must be a multiple of this (Model Optimizer's rule)."""

QUANTIZE_AGNOSTIC = frozenset({"Concat", "Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose"})
"""Operators that only select or move elements: TensorRT moves QDQ pairs before them."""

POOLS = frozenset({"AveragePool", "MaxPool"})


def place(model: ir.Model, floats: frozenset[str] = frozenset()) -> Placement:
    """Place the quantizers with which TensorRT computes a model in int8.

    - The input of a Conv, ConvTranspose, Gemm or MatMul with constant weights is quantized, also
      that of depthwise convolutions and of the first one. Operators whose int8 kernels are slower
      stay in float: few channels (except for the first convolution), one pixel or one row (a
      classifier for one image, the gates of squeeze-and-excite).
    - One input of a residual Add is the output of a convolution, which TensorRT fuses with the Add;
      the other one is quantized.
    - The input of a pool is quantized if such an operator reads the pool's output; a MaxPool keeps
      the parameters of its input.
    - The output of a Concat is quantized where it is read quantized; its inputs share its
      parameters where other readers read them quantized.
    - Both inputs of the Mul of squeeze-and-excite are quantized; the operators between a
      convolution and its activation (swish, hard-swish) stay in float.

    Args:
        model: a simplified float32 graph, with shapes.
        floats: names of nodes that stay in float.
    """
    placer = _Placer(model, floats)
    placer.place_weighted()
    placer.place_residuals()
    placer.place_squeeze_and_excite()
    placer.place_pools()
    return placer.placement()


def activation_qparams(value: ir.Value, extent: Range) -> QParams:
    """Compute symmetric int8 parameters, because TensorRT supports no zero point except 0."""
    return symmetric_qparams(extent)


class _Placer:
    def __init__(self, model: ir.Model, floats: frozenset[str]) -> None:
        self._graph, self._floats = model.graph, floats
        self._order = {node: index for index, node in enumerate(model.graph)}
        self._nodes: set[str] = set()
        self._weights: set[str] = set()
        self._edges: set[tuple[str, int]] = set()
        self._quantized: dict[ir.Value, None] = {}
        """The tensors that are quantized for some reader."""
        self._read_quantized: dict[ir.Value, bool] = {}

    def place_weighted(self) -> None:
        """Quantize the inputs of operators with weights."""
        for node in self._quantizable(*WEIGHTED):
            if _is_faster_in_int8(node):
                self._weights.add(node.name or "")
                self._quantize_input(node, 0)

    def place_residuals(self) -> None:
        """Quantize the other input of an Add that is fused with a convolution."""
        for node in self._quantizable("Add"):
            branch = self._fused_input(node) if _same_shapes(node) else None
            if branch is not None:
                self._quantize_input(node, 1 - branch)

    def place_squeeze_and_excite(self) -> None:
        """Quantize the inputs of squeeze-and-excite, and of its pool where they are quantized."""
        for node in self._quantizable("Mul"):
            if _is_gate(node) and self._is_read_quantized(node.outputs[0]):
                self._quantize_input(node, 0)
                self._quantize_input(node, 1)
        for node in self._quantizable("GlobalAveragePool"):
            if node.inputs[0] in self._quantized:
                self._quantize_input(node, 0)

    def place_pools(self) -> None:
        """Quantize the inputs of pools whose outputs are read quantized."""
        self._read_quantized.clear()
        for node in self._quantizable(*POOLS):
            if self._is_read_quantized(node.outputs[0]):
                self._quantize_input(node, 0)

    def placement(self) -> Placement:
        """Return the placement."""
        return Placement(
            frozenset(self._nodes),
            frozenset(self._edges),
            tuple(self._unified()),
            frozenset(self._weights),
        )

    def _quantizable(self, *op_types: str) -> Iterator[ir.Node]:
        """Yield the nodes of these types that are not named to stay in float.

        Those of the image input do too: the pool of a resize sums products whose size depends on
        that of the image.
        """
        for node in self._graph:
            of_image = role_of(node) is not None
            if node.op_type in op_types and node.name not in self._floats and not of_image:
                yield node

    def _quantize_input(self, node: ir.Node, index: int) -> None:
        value = node.inputs[index]
        assert value is not None, "operators are placed only with all their inputs"
        self._nodes.add(node.name or "")
        self._edges.add((node.name or "", index))
        self._quantized[value] = None

    def _fused_input(self, node: ir.Node) -> int | None:
        """Return the input of an Add that is fused with a convolution: the later one of two."""
        found = []
        for index, value in enumerate(node.inputs):
            source = producer(value, "Conv")  # whose only reader is this node
            if source is not None and source.name in self._weights:
                found.append((self._order[source], index))
        return max(found)[1] if found else None

    def _is_read_quantized(self, value: ir.Value) -> bool:
        """Return whether `value` is read quantized, directly or after being moved or averaged."""
        if value not in self._read_quantized:
            self._read_quantized[value] = False  # ends the recursion on this value
            self._read_quantized[value] = any(
                (use.node.name or "", use.idx) in self._edges
                or (
                    use.node.op_type in QUANTIZE_AGNOSTIC | POOLS
                    and self._is_read_quantized(use.node.outputs[0])
                )
                for use in value.uses()
            )
        return self._read_quantized[value]

    def _unified(self) -> list[frozenset[str]]:
        """Group the quantized tensors between which elements are only moved."""
        groups: dict[ir.Value, set[ir.Value]] = {value: {value} for value in self._quantized}
        for value in self._quantized:
            node = value.producer()
            if node is not None and node.op_type in QUANTIZE_AGNOSTIC:
                for source in node.inputs:
                    if source in groups and source is not None:
                        group = groups[source] | groups[value]
                        groups.update(dict.fromkeys(group, group))
        several = {id(group): group for group in groups.values() if len(group) > 1}
        return [frozenset(value.name or "" for value in group) for group in several.values()]


def _is_faster_in_int8(node: ir.Node) -> bool:
    """Return whether a node is faster in int8, and its weights can be int8."""
    weights = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if weights is None or weights.dtype != ir.DataType.FLOAT or node.inputs[0] is None:
        return False
    if node.op_type in ("Gemm", "MatMul"):
        return _is_faster_product(node, extents(weights))
    shape = node.outputs[0].shape
    pixels = list(shape or ())[2:]
    if pixels and all(size == 1 for size in pixels) and _one_pixel(node.inputs[0]):
        return False
    groups = attribute(node, "group", 1)
    makes, takes = (size * n for size, n in zip(extents(weights)[:2], (1, groups), strict=True))
    if node.op_type == "ConvTranspose":
        makes, takes = takes, makes
        return bool(groups == 1 and min(makes, takes) >= MIN_CHANNELS)
    return _has_fast_kernel(makes, takes, groups, list(extents(weights)[2:]))


def _has_fast_kernel(makes: int, takes: int, groups: int, kernel: list[int]) -> bool:
    """Apply the conditions of Model Optimizer for convolutions in int8."""
    if groups > 1:
        return makes % CHANNEL_MULTIPLE == 0 and (
            min(makes, takes) >= MIN_CHANNELS or min(kernel) >= 3
        )
    if min(makes, takes) >= MIN_CHANNELS:
        return True
    steps = makes % CHANNEL_MULTIPLE == 0 or takes % CHANNEL_MULTIPLE == 0
    return steps and max(makes, takes) >= MIN_CHANNELS and len(set(kernel)) == 1


def _is_faster_product(node: ir.Node, sizes: tuple[int, ...]) -> bool:
    plain = all(attribute(node, name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if len(sizes) != 2 or not plain or attribute(node, "transA", 0):
        return False
    first = node.inputs[0]
    rows = list((first.shape if first is not None else None) or ())[:-1]
    known = math.prod(size for size in rows if isinstance(size, int))
    return min(sizes) >= MIN_CHANNELS and known > 1


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


def _is_gate(node: ir.Node) -> bool:
    """Return whether a Mul scales each channel of a tensor by a computed number."""
    one, other = node.inputs
    if one is None or other is None or constant(one) is not None or constant(other) is not None:
        return False
    return _one_pixel(one) != _one_pixel(other)


TENSORRT_EXPLICIT = Scheme(
    place,
    activation_qparams,
    float_reason="int8 is no faster for so few channels, rows or pixels",
)
"""Symmetric int8 everywhere, with float32 scales and biases."""

TENSORRT_STRONGLY_TYPED = replace(TENSORRT_EXPLICIT, float16_scales=True)
"""The same for strongly typed engines, whose other operators become float16."""
