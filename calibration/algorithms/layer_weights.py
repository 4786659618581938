"""The weights of one quantised layer, rounded for what the layer reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.algorithms.gptq import columns, round_for_inputs, spread
from kexport.calibration.quantizer.qparams import QParams, QuantizedWeights, in_float16
from kexport.calibration.quantizer.saturation import MOST, restored, rows
from kexport.graph.edit import attribute, constant, small

OBSERVATIONS = 8
"""How many observations there should be for each weight of an output: fewer say more about
themselves than about the inputs, and refitting was seldom found to help."""

DAMPINGS = (0.001, 0.01, 0.1, 1.0)
"""What is tried as the share of their mean power that every input counts beyond what was seen."""


def refitted(weights: Array, wanted: Array, met: Array) -> Array:
    """The weights whose product with the inputs `met` is nearest to `weights` times `wanted`.

    With X the inputs in the float graph and X' those in the quantised one, both less their means,
    W + W (X - X') X'^T (X' X'^T + d I)^-1 has the least |W X - W' X'|^2 + d |W - W'|^2 (ridge
    regression, A. Hoerl and R. Kennard, 1970). It is the filter of N. Wiener, 1949, for the noise
    of all quantisers before, and the asymmetric aim of GPTAQ (Y. Li et al., 2025). The damping d
    is the one with which each half of the observations tells most of the other.

    Args:
        weights: [G, O, K]: O rows in each of G groups.
        wanted: observations of each group's inputs in the float graph, [G, R, K]; of mean nought.
        met: the same observations in the quantised graph, [G, R, K]; of mean nought.

    Returns:
        float64 [G, O, K]; `weights` where no damping helps.
    """
    given = weights.astype(np.float64)
    errors = wanted - met
    halves = [(met[:, part], errors[:, part]) for part in np.array_split(range(met.shape[1]), 2)]
    left = dict.fromkeys(DAMPINGS, 0.0)
    for learned, tested in (halves, halves[::-1]):
        moments = _moments(*learned)
        missing = np.matmul(tested[1], given.transpose(0, 2, 1))
        for damping in DAMPINGS:
            change = _change(given, *moments, damping)
            rest = missing - np.matmul(tested[0], change.transpose(0, 2, 1))
            left[damping] += float(np.vdot(rest, rest))
    best = min(DAMPINGS, key=left.__getitem__)
    plain = np.matmul(errors, given.transpose(0, 2, 1))
    if not left[best] < float(np.vdot(plain, plain)):
        return given
    return given + _change(given, *_moments(met, errors), best)


def _moments(inputs: Array, errors: Array) -> tuple[Array, Array]:
    """Of each group: the power of its inputs, and errors times inputs; float64 [G, K, K] each."""
    across = inputs.transpose(0, 2, 1)
    power, shared = np.matmul(across, inputs), np.matmul(errors.transpose(0, 2, 1), inputs)
    return power.astype(np.float64), shared.astype(np.float64)


def _change(weights: Array, power: Array, shared: Array, damping: float) -> Array:
    damped = power.copy()
    diagonal = np.einsum("gkk->gk", damped)
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, damping * mean, 1.0)
    solved = np.linalg.solve(damped, np.matmul(weights, shared).transpose(0, 2, 1))
    return np.asarray(solved.transpose(0, 2, 1))


WIDEST = 4608
"""The most weights of one output whose errors are made up for: the square of it is computed with.
3 x 3 of 512 channels are as many."""

PLACES = 4096
"""How many places of a layer's output are looked at, and twice as many as one has weights."""


def rounded(
    node: ir.Node,
    exact: Array,
    inputs: Sequence[Array],
    wanted: Sequence[Array],
    *,
    paired: bool,
    half: bool,
) -> QuantizedWeights | None:
    """The weights `exact`, refitted and rounded for `inputs` on the grid that `node` reads.

    Args:
        node: a quantised Conv or Gemm.
        exact: float32 weights of it.
        inputs: what it reads, batch by batch.
        wanted: what it reads in the float graph, in the same batches.
        paired: whether its weights are held to what `pairs.of_pairs` says.
        half: whether scales are held to numbers of float16.

    Returns:
        None where the weights are not its own, on one grid for each output, or are too many.
    """
    read = None if node.inputs[1] is None else node.inputs[1].producer()
    if read is None or read.op_type != "DequantizeLinear" or len(read.outputs[0].uses()) != 1:
        return None
    scale, integers = small(read.inputs[1]), constant(read.inputs[0])
    axis = int(attribute(read, "axis", 1))
    if scale is None or integers is None or scale.ndim != 1 or _is_other(node):
        return None
    weights = rows(exact, axis)
    groups = int(attribute(node, "group", 1))
    width = weights.shape[1]
    if width > WIDEST:
        return None
    steps = (weights / scale[:, np.newaxis]).reshape(groups, -1, width)
    aims, power = _learned(node, steps, inputs, wanted, exact.shape)
    growth = np.maximum(_largest(aims) / np.maximum(_largest(steps), 1.0), 1.0)
    grown = (scale * growth.reshape(-1)).astype(np.float32)
    grid = QParams(grown, np.zeros(grown.shape, np.int8), "int8", axis)
    grid = in_float16(grid) if half else grid
    aims = aims * (scale / grid.scale).reshape(groups, -1, 1)
    found = round_for_inputs(aims, power, MOST if paired else None)
    return QuantizedWeights(restored(found.reshape(weights.shape), exact.shape, axis), grid)


def _learned(
    node: ir.Node,
    steps: Array,
    inputs: Sequence[Array],
    wanted: Sequence[Array],
    shape: Sequence[int],
) -> tuple[Array, Array]:
    """The weights `steps` [G, O, K], refitted where they can be, and the power of their inputs.

    Means do not count: what an error of the weights makes of them is the bias' to correct.
    """
    width = steps.shape[2]

    def observed(parts: Sequence[Array]) -> Array:
        found = columns(node, parts, shape, max(PLACES, 2 * width))
        found -= found.mean(axis=1, keepdims=True)
        return found

    met = observed(inputs)
    if met.shape[1] < OBSERVATIONS * width:
        return steps, spread(met)
    return refitted(steps, observed(wanted), met), spread(met)


def _largest(steps: Array) -> Array:
    return np.asarray(np.abs(steps).max(axis=2, keepdims=True))


def _is_other(node: ir.Node) -> bool:
    """Neither a Conv of two axes nor a Gemm, or one whose input is read otherwise than it is."""
    if node.op_type == "Gemm":
        return bool(attribute(node, "transA", 0))
    padding = attribute(node, "auto_pad", "NOTSET")
    weights = node.inputs[1]
    rank = 0 if weights is None or weights.shape is None else len(weights.shape)
    return node.op_type != "Conv" or rank != 4 or padding not in ("NOTSET", "VALID")
