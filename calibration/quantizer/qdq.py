"""Insertion of QuantizeLinear and DequantizeLinear (QDQ) pairs into a float graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import (
    QParams,
    QuantizedWeights,
    quantize_array,
    weight_qparams,
    with_float16_scales,
)
from kexport.calibration.quantizer.saturation import saturation_free_weights
from kexport.graph.edit import attribute, constant, numbers, small
from kexport.graph.passes import Pass

OUTPUT_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}
"""The axis of the output channels in the weights of each operator; Gemm's depends on transB."""

MAX_BIAS_STEPS = 2**30
"""The largest bias in steps of its scale: half of an int32, which leaves room for the sum."""


def insert_qdq(
    placement: Placement,
    qparams: Mapping[str, QParams],
    *,
    avoid_saturation: bool = False,
    float16_scales: bool = False,
    quantized_weights: Mapping[str, QuantizedWeights] = MappingProxyType({}),
) -> Pass:
    """Build the pass that quantizes the edges and the weights of a placement.

    One pair, `<tensor>.quantized` and `<tensor>.dequantized`, serves all edges of a tensor; readers
    that are not on an edge keep the float tensor. A constant tensor is stored as integers. A tensor
    that a Cast of uint8 makes, with or without an integer added, is dequantized from those bytes
    where its parameters represent them exactly. Weights become int8, symmetric and per output
    channel. Biases stay float32.

    Args:
        placement: the quantized edges and weights.
        qparams: the parameters of each tensor on an edge, by name.
        avoid_saturation: whether weights are limited to those that cannot saturate 16-bit sums;
            kernels of a depthwise Conv add in 32 bits, so its weights are not.
        float16_scales: whether the scales of weights are numbers of float16.
        quantized_weights: weights that are already quantized, by node name.
    """

    @Pass
    def quantize(model: ir.Model) -> None:
        inserter = _QdqInserter(
            model.graph, qparams, avoid_saturation, float16_scales, quantized_weights
        )
        for node in list(model.graph):
            for index, value in enumerate(node.inputs):
                if value is not None and (node.name or "", index) in placement.edges:
                    node.replace_input_with(index, inserter.activation(value))
            if node.name in placement.weights:
                node.replace_input_with(1, inserter.weights(node))

    return quantize


class _QdqInserter:
    def __init__(
        self,
        graph: ir.Graph,
        qparams: Mapping[str, QParams],
        avoid_saturation: bool,
        float16_scales: bool,
        quantized_weights: Mapping[str, QuantizedWeights],
    ) -> None:
        self._graph, self._qparams, self._quantized_weights = graph, qparams, quantized_weights
        self._avoid_saturation, self._float16_scales = avoid_saturation, float16_scales
        self._activations: dict[ir.Value, ir.Value] = {}
        self._weights: dict[tuple[ir.Value, int], ir.Value] = {}
        self._parameters: dict[tuple[ir.Value, int | None], tuple[ir.Value, ir.Value]] = {}

    def activation(self, value: ir.Value) -> ir.Value:
        """Return the tensor after its QDQ pair, which is inserted once."""
        if value not in self._activations:
            self._activations[value] = self._insert_pair(value, self._qparams[value.name or ""])
        return self._activations[value]

    def weights(self, node: ir.Node) -> ir.Value:
        """Return the weights of `node` after their DequantizeLinear, which is inserted once."""
        value = node.inputs[1]
        tensor = constant(value)
        if value is None or tensor is None:
            raise ValueError(f"the weights of {node.name} are not constant")
        axis = OUTPUT_AXES.get(node.op_type, 0 if attribute(node, "transB", 0) else 1)
        if (value, axis) not in self._weights:
            found = self._quantize_weights(node, _read(tensor), axis)
            integers = numbers(self._graph, f"{value.name}.quantized", found.integers)
            self._weights[value, axis] = self._dequantize(integers, value, found.qparams)
        return self._weights[value, axis]

    def _quantize_weights(self, node: ir.Node, array: Array, axis: int) -> QuantizedWeights:
        ready = self._quantized_weights.get(node.name or "")
        if ready is not None:
            return ready
        min_scale = self._min_weight_scale(node)
        if self._avoid_saturation and not is_depthwise(node, array):
            return QuantizedWeights(*saturation_free_weights(array, axis, min_scale))
        qparams = weight_qparams(array, axis, min_scale=min_scale)
        qparams = with_float16_scales(qparams) if self._float16_scales else qparams
        return QuantizedWeights(quantize_array(array, qparams), qparams)

    def _min_weight_scale(self, node: ir.Node) -> Array | float:
        """Compute the finest scales with which the bias, in steps of input x weights, is int32."""
        producer = None if node.inputs[0] is None else node.inputs[0].producer()
        bias = small(node.inputs[2]) if len(node.inputs) > 2 else None
        if producer is None or producer.op_type != "DequantizeLinear":
            return 0.0
        if bias is None or bias.ndim != 1:
            return 0.0
        step = small(producer.inputs[1])
        return 0.0 if step is None else np.abs(bias.astype(np.float64)) / step / MAX_BIAS_STEPS

    def _insert_pair(self, value: ir.Value, qparams: QParams) -> ir.Value:
        array = small(value)
        if array is not None:
            found = quantize_array(array, qparams)
            integers = numbers(self._graph, f"{value.name or ''}.quantized", found)
            return self._dequantize(integers, value, qparams)
        integers = uint8_source(value, qparams) or self._quantize(value, qparams)
        return self._dequantize(integers, value, qparams)

    def _quantize(self, value: ir.Value, qparams: QParams) -> ir.Value:
        name = f"{value.name}.quantized"
        node = ir.node("QuantizeLinear", [value, *self._parameters_of(value, qparams)], name=name)
        result = node.outputs[0]
        result.name, result.shape = name, value.shape
        result.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(qparams.dtype)))
        self._insert_after(value, node)
        return result

    def _dequantize(self, integers: ir.Value, value: ir.Value, qparams: QParams) -> ir.Value:
        name = f"{value.name}.dequantized"
        attributes = {} if qparams.axis is None else {"axis": qparams.axis}
        inputs = [integers, *self._parameters_of(value, qparams)]
        node = ir.node("DequantizeLinear", inputs, attributes, name=name)
        result = node.outputs[0]
        result.name, result.shape, result.type = name, value.shape, value.type
        self._insert_after(integers, node)
        return result

    def _parameters_of(self, value: ir.Value, qparams: QParams) -> tuple[ir.Value, ir.Value]:
        """Return the scale and zero point that a QuantizeLinear and its DequantizeLinear share."""
        key = value, qparams.axis
        if key not in self._parameters:
            self._parameters[key] = (
                numbers(self._graph, f"{value.name}.scale", qparams.scale),
                numbers(self._graph, f"{value.name}.zero_point", qparams.zero_point),
            )
        return self._parameters[key]

    def _insert_after(self, value: ir.Value, node: ir.Node) -> None:
        producer = value.producer()
        if producer is not None:
            self._graph.insert_after(producer, node)
        else:
            self._graph.insert_before(next(iter(self._graph)), node)


def _read(tensor: ir.TensorProtocol) -> Array:
    """Read a weight; a memory map of its file would keep all weights that were read in memory."""
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor.numpy()
    kind = tensor.dtype.numpy().newbyteorder("<")
    found = np.fromfile(tensor.path, kind, tensor.size, offset=tensor.offset or 0)
    return found.reshape(tensor.shape.numpy())


def is_depthwise(node: ir.Node, weights: Array) -> bool:
    """Return whether each output of a Conv reads one of several input channels."""
    return node.op_type == "Conv" and attribute(node, "group", 1) == len(weights) > 1


def uint8_source(value: ir.Value, qparams: QParams) -> ir.Value | None:
    """Find the uint8 tensor that already holds `value` quantized, before a Cast and an Add."""
    if qparams.dtype != "uint8" or qparams.scale.shape or float(qparams.scale) != 1.0:
        return None
    node, shift = value.producer(), 0.0
    if node is not None and node.op_type == "Add":
        addend = small(node.inputs[1])
        if addend is None or addend.size != 1:
            return None
        shift = float(addend.reshape(()))
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Cast" or shift != -float(qparams.zero_point):
        return None
    source = node.inputs[0]
    return source if source is not None and source.dtype == ir.DataType.UINT8 else None
