"""Puts integers into a float graph, as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import (
    LEVELS,
    QParams,
    QuantizedWeights,
    in_float16,
    of_weights,
    quantized,
)
from kexport.calibration.quantizer.saturation import of_pairs
from kexport.graph.edit import attribute, constant, numbers, small
from kexport.graph.passes import Pass

OUTPUT_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}
"""The axis of the output channels in the weights of each operator; Gemm's depends on transB."""

WIDEST = 2**30
"""How many steps a bias has at most: half of an int32, to leave room for the sum."""


def quantize(
    placement: Placement,
    grids: Mapping[str, QParams],
    levels: int = LEVELS,
    *,
    paired: bool = False,
    half: bool = False,
    rounded: Mapping[str, QuantizedWeights] = MappingProxyType({}),
) -> Pass:
    """A pass that quantises the edges and the weights of a placement.

    A tensor passes through one pair for all its edges, `<tensor>.quantized` and
    `<tensor>.dequantized`; other readers keep the tensor itself. A constant tensor is stored as
    integers. Where a tensor is made of bytes already, by a Cast of uint8 or by that and an integer
    added, and its grid is theirs, the bytes are dequantised as they are. Weights become int8 with a
    symmetric grid for each output channel. Biases stay float32.

    Args:
        placement: where.
        grids: a grid for each tensor on the placement's edges, by name.
        levels: the integer of the largest weight of a channel.
        paired: whether weights are held to what `pairs.of_pairs` says, where they are not those of
            a depthwise Conv, whose kernels add in 32 bits.
        half: whether the scales of weights are numbers that float16 holds.
        rounded: weights that are integers already, by the node's name.
    """

    @Pass
    def quantize(model: ir.Model) -> None:
        writer = _Writer(model.graph, grids, levels, paired, half, rounded)
        for node in list(model.graph):
            for index, value in enumerate(node.inputs):
                if value is not None and (node.name or "", index) in placement.edges:
                    node.replace_input_with(index, writer.through_integers(value))
            if node.name in placement.weights:
                node.replace_input_with(1, writer.weights(node))

    return quantize


class _Writer:
    def __init__(
        self,
        graph: ir.Graph,
        grids: Mapping[str, QParams],
        levels: int,
        paired: bool,
        half: bool,
        rounded: Mapping[str, QuantizedWeights],
    ) -> None:
        self._graph, self._grids, self._rounded = graph, grids, rounded
        self._levels, self._paired, self._half = levels, paired, half
        self._activations: dict[ir.Value, ir.Value] = {}
        self._weights: dict[tuple[ir.Value, int], ir.Value] = {}
        self._parameters: dict[tuple[ir.Value, int | None], tuple[ir.Value, ir.Value]] = {}

    def through_integers(self, value: ir.Value) -> ir.Value:
        """The tensor as its grid has it."""
        if value not in self._activations:
            name = value.name or ""
            self._activations[value] = self._dequantized(value, name, self._grids[name])
        return self._activations[value]

    def weights(self, node: ir.Node) -> ir.Value:
        """The weights of `node` on their own grids."""
        value = node.inputs[1]
        tensor = constant(value)
        if value is None or tensor is None:
            raise ValueError(f"the weights of {node.name} are not constant")
        axis = OUTPUT_AXES.get(node.op_type, 0 if attribute(node, "transB", 0) else 1)
        if (value, axis) not in self._weights:
            array, least = _read(tensor), self._least(node)
            ready = self._rounded.get(node.name or "")
            if ready is not None:
                found, grid = ready.integers, ready.grid
            elif self._paired and not is_depthwise(node, array):
                found, grid = of_pairs(array, axis, least)
            else:
                grid = of_weights(array, axis, self._levels, least)
                grid = in_float16(grid) if self._half else grid
                found = quantized(array, grid)
            integers = numbers(self._graph, f"{value.name}.quantized", found)
            self._weights[value, axis] = self._dequantize(integers, value, grid)
        return self._weights[value, axis]

    def _least(self, node: ir.Node) -> Array | float:
        """The finest scales with which the bias of `node` is an int32, in steps of its input."""
        given = None if node.inputs[0] is None else node.inputs[0].producer()
        bias = small(node.inputs[2]) if len(node.inputs) > 2 else None
        if given is None or given.op_type != "DequantizeLinear" or bias is None or bias.ndim != 1:
            return 0.0
        step = small(given.inputs[1])
        return 0.0 if step is None else np.abs(bias.astype(np.float64)) / step / WIDEST

    def _dequantized(self, value: ir.Value, name: str, grid: QParams) -> ir.Value:
        held = small(value)
        if held is not None:
            integers = numbers(self._graph, f"{name}.quantized", quantized(held, grid))
            return self._dequantize(integers, value, grid)
        integers = bytes_of(value, grid) or self._quantize(value, grid)
        return self._dequantize(integers, value, grid)

    def _quantize(self, value: ir.Value, grid: QParams) -> ir.Value:
        name = f"{value.name}.quantized"
        node = ir.node("QuantizeLinear", [value, *self._grid(value, grid)], name=name)
        result = node.outputs[0]
        result.name, result.shape = name, value.shape
        result.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(grid.dtype)))
        self._insert_behind(value, node)
        return result

    def _dequantize(self, integers: ir.Value, value: ir.Value, grid: QParams) -> ir.Value:
        name = f"{value.name}.dequantized"
        attributes = {} if grid.axis is None else {"axis": grid.axis}
        inputs = [integers, *self._grid(value, grid)]
        node = ir.node("DequantizeLinear", inputs, attributes, name=name)
        result = node.outputs[0]
        result.name, result.shape, result.type = name, value.shape, value.type
        self._insert_behind(integers, node)
        return result

    def _grid(self, value: ir.Value, grid: QParams) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point, for a QuantizeLinear and its DequantizeLinear alike."""
        key = value, grid.axis
        if key not in self._parameters:
            self._parameters[key] = (
                numbers(self._graph, f"{value.name}.scale", grid.scale),
                numbers(self._graph, f"{value.name}.zero_point", grid.zero_point),
            )
        return self._parameters[key]

    def _insert_behind(self, value: ir.Value, node: ir.Node) -> None:
        producer = value.producer()
        if producer is not None:
            self._graph.insert_after(producer, node)
        else:
            self._graph.insert_before(next(iter(self._graph)), node)


def _read(tensor: ir.TensorProtocol) -> Array:
    """The numbers of a weight; a mapping of its file would hold all weights that were read."""
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor.numpy()
    kind = tensor.dtype.numpy().newbyteorder("<")
    found = np.fromfile(tensor.path, kind, tensor.size, offset=tensor.offset or 0)
    return found.reshape(tensor.shape.numpy())


def is_depthwise(node: ir.Node, weights: Array) -> bool:
    """Whether each output of a Conv reads one input channel; not where there is one alone."""
    return node.op_type == "Conv" and attribute(node, "group", 1) == len(weights) > 1


def bytes_of(value: ir.Value, grid: QParams) -> ir.Value | None:
    """The uint8 tensor that holds the integers of `value` on `grid` already, if there is one."""
    if grid.dtype != "uint8" or grid.scale.shape or float(grid.scale) != 1.0:
        return None
    node, shift = value.producer(), 0.0
    if node is not None and node.op_type == "Add":
        addend = small(node.inputs[1])
        if addend is None or addend.size != 1:
            return None
        shift = float(addend.reshape(()))
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Cast" or shift != -float(grid.zero_point):
        return None
    source = node.inputs[0]
    return source if source is not None and source.dtype == ir.DataType.UINT8 else None
