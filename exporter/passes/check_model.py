"""Validation of the finished graph by ONNX's own checker."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from kexport.errors import PassFailed
from kexport.graph.passes import Pass


@Pass
def check_model(model: ir.Model) -> None:
    """Validate the graph with onnx.checker.

    Any graph ==> the same graph

    Applies to the finished graph of every target. An invalid graph would fail on the device only.
    Exact.

    Raises:
        PassFailed: the graph is not valid ONNX at its opset, or types do not match.
    """
    skeleton = model.clone()
    for value in skeleton.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > 1024:
            skeleton.graph.inputs.append(value)
    large = [v for v in skeleton.graph.inputs if v.name in skeleton.graph.initializers]
    for value in large:
        skeleton.graph.initializers.pop(value.name or "")
        value.const_value = None
    try:
        onnx.checker.check_model(ir.to_proto(skeleton), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PassFailed(
            f"the graph is not valid ONNX: {str(error).splitlines()[0]}",
            hint="report this with the model; it is a fault of kexport",
        ) from error
