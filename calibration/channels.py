"""Statistics of every channel of a tensor, gathered inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.probes import add_output, find
from kexport.calibration.running import run_batches

Array = np.ndarray[Any, Any]


def channel_peaks(model: ir.Model, names: Sequence[str], images: Array) -> dict[str, Array]:
    """The largest magnitude in each channel of the tensors `names` [N, C, H, W], float64 [C]."""
    probed = model.clone()
    outputs = {name: _add_peaks(probed.graph, find(probed.graph, name)) for name in names}
    peaks: dict[str, Array] = {}
    for found in run_batches(probed, images, list(outputs.values())):
        for name, output in outputs.items():
            largest = found[output].max(axis=(0, 2, 3)).astype(np.float64)
            peaks[name] = np.maximum(peaks[name], largest) if name in peaks else largest
    return peaks


def _add_peaks(graph: ir.Graph, value: ir.Value) -> str:
    magnitude = ir.node("Abs", [value], name=f"{value.name}.magnitude")
    highest = ir.node("GlobalMaxPool", [magnitude.outputs[0]], name=f"{value.name}.peaks")
    return add_output(graph, value, [magnitude, highest], f"{value.name}.peaks", None)
