"""The weights of one quantised layer, rounded for what the layer reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.columns import columns
from kexport.calibration.grid import Grid, dequantised, in_float16
from kexport.calibration.pairs import MOST, restored, rows
from kexport.calibration.refit import OBSERVATIONS, refitted
from kexport.calibration.rounding import round_for_inputs, spread
from kexport.passes.edit import attribute, constant, small

Array = np.ndarray[Any, Any]

WIDEST = 4608
"""The most weights of one output whose errors are made up for: the square of it is computed with.
3 x 3 of 512 channels are as many."""

PLACES = 4096
"""How many places of a layer's output are looked at, and twice as many as one has weights."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """int8 weights, in the shape of a node's own, and their grid."""

    integers: Array
    grid: Grid

    @property
    def numbers(self) -> Array:
        """What they stand for, float32."""
        return dequantised(self.integers, self.grid)


def rounded(
    node: ir.Node,
    exact: Array,
    inputs: Sequence[Array],
    wanted: Sequence[Array],
    *,
    paired: bool,
    half: bool,
) -> Rounded | None:
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
    grid = Grid(grown, np.zeros(grown.shape, np.int8), "int8", axis)
    grid = in_float16(grid) if half else grid
    aims = aims * (scale / grid.scale).reshape(groups, -1, 1)
    found = round_for_inputs(aims, power, MOST if paired else None)
    return Rounded(restored(found.reshape(weights.shape), exact.shape, axis), grid)


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
