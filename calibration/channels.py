"""Statistics of every channel of a tensor, gathered inside the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.probes import add_output, find
from kexport.calibration.running import run_batches

Array = np.ndarray[Any, Any]

PICTURES = 10_000
"""Of how many pictures the largest value of a channel is foretold. Those of a hundred do not show
it, least of all where a channel is seldom at work: with channels scaled up to what was seen, the
digits of bench/int8.py lost up to 6 dB by clipping; twice as much room for all costs up to 2 dB."""


def channel_peaks(model: ir.Model, names: Sequence[str], images: Array) -> dict[str, Array]:
    """The largest magnitude in each channel of the tensors `names` [N, C, H, W], float64 [C].

    It is the one that was measured or, if that is more, the one to be expected of `PICTURES`.
    """
    probed = model.clone()
    outputs = {name: _add_peaks(probed.graph, find(probed.graph, name)) for name in names}
    found: dict[str, list[Array]] = {name: [] for name in names}
    for batch in run_batches(probed, images, list(outputs.values())):
        for name, output in outputs.items():
            peaks = batch[output].astype(np.float64)
            found[name].append(peaks.reshape(peaks.shape[:2]))
    return {name: foreseen(np.concatenate(parts)) for name, parts in found.items()}


def foreseen(peaks: Array) -> Array:
    """The level that one of `PICTURES` exceeds in the mean, and none of `peaks` [N, C] does; [C].

    The maxima of many values have E. Gumbel's distribution ("Statistics of Extremes", 1958), here
    with the mean and the deviation of those seen: its return level is
    mean + deviation * sqrt(6) / pi * (ln PICTURES - Euler's constant), to within 1 / PICTURES.
    """
    reach = math.sqrt(6) / math.pi * (math.log(PICTURES) - np.euler_gamma)
    return np.asarray(np.maximum(peaks.max(axis=0), peaks.mean(axis=0) + reach * peaks.std(axis=0)))


def _add_peaks(graph: ir.Graph, value: ir.Value) -> str:
    magnitude = ir.node("Abs", [value], name=f"{value.name}.magnitude")
    highest = ir.node("GlobalMaxPool", [magnitude.outputs[0]], name=f"{value.name}.peaks")
    return add_output(graph, value, [magnitude, highest], f"{value.name}.peaks", None)
