"""Weights of one quantized layer: ridge refit to the quantized inputs, and GPTQ rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.algorithms.gptq import gptq_round, hessian_of, im2col
from kexport.calibration.quantizer.qparams import QParams, QuantizedWeights, with_float16_scales
from kexport.calibration.quantizer.saturation import MAX_PAIR_SUM, from_rows, to_rows
from kexport.graph.edit import attribute, constant, small

MIN_OBSERVATIONS_PER_WEIGHT = 8
"""Observations for each weight of an output that the ridge refit needs. Chosen by experiment: with
fewer it fits their noise, and seldom helped."""

RIDGE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Ridge strengths tried, relative to the mean input power."""

MAX_WEIGHTS_PER_OUTPUT = 4608
"""Layers with more weights for one output are not rounded by GPTQ, whose Hessian grows with the
square (85 MB of float32 here): as many as 3 x 3 pixels of 512 channels."""

MIN_POSITIONS, MAX_POSITIONS = 1024, 4096
"""Output positions of a layer that are observed: `POSITIONS_PER_WEIGHT` for each weight of an
output within these limits, and at least twice the weights of an output. Chosen for time."""

POSITIONS_PER_WEIGHT = 16
"""Twice `MIN_OBSERVATIONS_PER_WEIGHT`."""


def ridge_refit(weights: Array, float_inputs: Array, inputs: Array) -> Array:
    """Refit weights so that on quantized `inputs` they give what they gave on `float_inputs`.

    With X the inputs in the float graph and X' those in the quantized one, both with zero mean,
    W + W (X - X') X'^T (X' X'^T + d I)^-1 minimizes |W X - W' X'|^2 + d |W - W'|^2 (ridge
    regression, A. Hoerl and R. Kennard, 1970). It is the Wiener filter (1949) for the noise of all
    quantizers before the layer, and the asymmetric objective of GPTAQ (Y. Li et al., 2025). The
    strength d is chosen by two-fold cross-validation over the observations.

    Args:
        weights: [G, O, K]: O rows in each of G groups.
        float_inputs: observations of each group's inputs in the float graph, [G, K, R]; zero mean.
        inputs: the same observations in the quantized graph, [G, K, R]; zero mean.

    Returns:
        float64 [G, O, K]; `weights` where no strength helps.
    """
    return _refit(weights, *_moments_of_halves(float_inputs, inputs))


def _refit(weights: Array, first: _Moments, second: _Moments) -> Array:
    """Refit weights by the moments of two halves of the observations."""
    exact = weights.astype(np.float64)
    residual = dict.fromkeys(RIDGE_STRENGTHS, 0.0)
    for fitted, tested in ((first, second), (second, first)):
        for strength in RIDGE_STRENGTHS:
            change = _ridge_change(exact, fitted, strength)
            residual[strength] += _residual_change(exact, change, tested)
    best = min(RIDGE_STRENGTHS, key=residual.__getitem__)
    if not residual[best] < 0:
        return exact
    whole = _Moments(first.power + second.power, first.shared + second.shared)
    return exact + _ridge_change(exact, whole, best)


class _Moments(NamedTuple):
    """Sums over observations of inputs x inputs and errors x inputs; float64 [G, K, K] each."""

    power: Array
    shared: Array


def _moments_of_halves(float_inputs: Array, inputs: Array) -> tuple[_Moments, _Moments]:
    errors, middle = float_inputs - inputs, inputs.shape[2] // 2
    return (
        _moments(inputs[:, :, :middle], errors[:, :, :middle]),
        _moments(inputs[:, :, middle:], errors[:, :, middle:]),
    )


def _moments(inputs: Array, errors: Array) -> _Moments:
    across = inputs.transpose(0, 2, 1)
    power, shared = np.matmul(inputs, across), np.matmul(errors, across)
    return _Moments(power.astype(np.float64), shared.astype(np.float64))


def _ridge_change(weights: Array, moments: _Moments, strength: float) -> Array:
    damped = moments.power.copy()
    diagonal = np.einsum("gkk->gk", damped)
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, strength * mean, 1.0)
    solved = np.linalg.solve(damped, np.matmul(weights, moments.shared).transpose(0, 2, 1))
    return np.asarray(solved.transpose(0, 2, 1))


def _residual_change(weights: Array, change: Array, moments: _Moments) -> float:
    """Compute |W E - C X'|^2 - |W E|^2 from moments, with the errors E = X - X'.

    It is tr(C X' X'^T C^T) - 2 tr(W E X'^T C^T), which needs no product over all observations.
    """
    missing = np.matmul(change, moments.power) - 2 * np.matmul(weights, moments.shared)
    return float(np.vdot(missing, change))


def quantize_layer_weights(
    node: ir.Node,
    exact: Array,
    inputs: Sequence[Array],
    float_inputs: Sequence[Array],
    *,
    avoid_saturation: bool,
    float16_scales: bool,
) -> QuantizedWeights | None:
    """Refit the weights of a layer to its quantized inputs, and round them by GPTQ.

    Args:
        node: a quantized Conv or Gemm.
        exact: its float32 weights.
        inputs: its input in the quantized graph, batch by batch.
        float_inputs: its input in the float graph, in the same batches.
        avoid_saturation: whether the sums of neighbouring weights are limited (`saturation`).
        float16_scales: whether the scales are numbers of float16.

    Returns:
        The weights; None where they are shared with other nodes, are not quantized per output
        channel, or are too many for each output.
    """
    read = None if node.inputs[1] is None else node.inputs[1].producer()
    if read is None or read.op_type != "DequantizeLinear" or len(read.outputs[0].uses()) != 1:
        return None
    scale, integers = small(read.inputs[1]), constant(read.inputs[0])
    axis = int(attribute(read, "axis", 1))
    if scale is None or integers is None or scale.ndim != 1 or not _is_supported(node):
        return None
    weights = to_rows(exact, axis)
    groups = int(attribute(node, "group", 1))
    width = weights.shape[1]
    if width > MAX_WEIGHTS_PER_OUTPUT:
        return None
    steps = (weights / scale[:, np.newaxis]).reshape(groups, -1, width)
    refitted, hessian = _fit(node, steps, inputs, float_inputs, exact.shape)
    growth = np.maximum(_largest(refitted) / np.maximum(_largest(steps), 1.0), 1.0)
    grown = (scale * growth.reshape(-1)).astype(np.float32)
    qparams = QParams(grown, np.zeros(grown.shape, np.int8), "int8", axis)
    qparams = with_float16_scales(qparams) if float16_scales else qparams
    refitted = refitted * (scale / qparams.scale).reshape(groups, -1, 1)
    found = gptq_round(refitted, hessian, MAX_PAIR_SUM if avoid_saturation else None)
    return QuantizedWeights(from_rows(found.reshape(weights.shape), exact.shape, axis), qparams)


def _fit(
    node: ir.Node,
    steps: Array,
    inputs: Sequence[Array],
    float_inputs: Sequence[Array],
    shape: Sequence[int],
) -> tuple[Array, Array]:
    """Refit weights in steps [G, O, K] where observations suffice; also return the Hessian.

    The inputs have zero mean: bias correction removes the error of the mean.
    """
    width = steps.shape[2]

    def observe(batches: Sequence[Array]) -> Array:
        found = im2col(node, batches, shape, _positions(width))
        found -= found.mean(axis=2, keepdims=True)
        return found

    observed = observe(inputs)
    if observed.shape[2] < MIN_OBSERVATIONS_PER_WEIGHT * width:
        return steps, hessian_of(observed)
    first, second = _moments_of_halves(observe(float_inputs), observed)
    hessian = (first.power + second.power) / observed.shape[2]
    return _refit(steps, first, second), hessian.astype(observed.dtype)


def _positions(width: int) -> int:
    """Compute how many output positions are observed for `width` weights of an output."""
    wanted = min(max(POSITIONS_PER_WEIGHT * width, MIN_POSITIONS), MAX_POSITIONS)
    return max(wanted, 2 * width)


def _largest(steps: Array) -> Array:
    return np.asarray(np.abs(steps).max(axis=2, keepdims=True))


def _is_supported(node: ir.Node) -> bool:
    """Return whether `im2col` can unfold the input: a Gemm, or a Conv of two axes."""
    if node.op_type == "Gemm":
        return not attribute(node, "transA", 0)
    padding = attribute(node, "auto_pad", "NOTSET")
    weights = node.inputs[1]
    rank = 0 if weights is None or weights.shape is None else len(weights.shape)
    return node.op_type == "Conv" and rank == 4 and padding in ("NOTSET", "VALID")
