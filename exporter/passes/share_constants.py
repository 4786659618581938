"""Keep small constants that are equal once."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from kexport.artifact import Pass

LARGEST = 1024
"""Elements up to which constants are compared: shapes, axes, scalars, biases."""


@Pass
def share_constants(model: ir.Model) -> None:
    """Let every node that reads a small constant read the first one that is equal."""
    common.DeduplicateInitializersPass(size_limit=LARGEST)(model)
