"""Bias correction: what quantisation moves on average is taken back in the bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.calibration.channels import channel_means
from kexport.passes.weighted import add_to_bias

Array = np.ndarray[Any, Any]


def corrections(floating: ir.Model, quantised: ir.Model, images: Array) -> dict[str, Array]:
    """How far the mean of every channel of each Conv moved through quantisation, [C] by node.

    E[y] - E[y'] of the float and the quantised output over the same pictures (Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2,
    the empirical form of its appendix D).
    """
    names = {
        node.outputs[0].name or "": node.name or ""
        for node in floating.graph
        if node.op_type == "Conv"
    }
    known = {value.name for node in quantised.graph for value in node.outputs}
    outputs = [name for name in names if name in known]
    wanted = channel_means(floating, outputs, images)
    given = channel_means(quantised, outputs, images)
    return {names[name]: wanted[name] - given[name] for name in outputs}


def correct_bias(by_node: Mapping[str, Array]) -> Pass:
    """A pass that adds a correction [C] to the bias of each named Conv."""

    @Pass
    def correct_bias(model: ir.Model) -> None:
        for node in list(model.graph):
            if node.name in by_node:
                add_to_bias(model.graph, node, by_node[node.name])

    return correct_bias
