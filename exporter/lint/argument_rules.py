"""Table of the lint rules for arguments: graphs that do not build."""

from __future__ import annotations

from kexport.lint import arguments, sources
from kexport.lint.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "input-type",
        "error",
        arguments.input_types,
        "the parser stops: that type is not supported for that input",
        "put a Cast to float32 before, and one back after",
        sources.OPERATORS,
    ),
    Rule(
        "rank",
        "error",
        arguments.rank,
        "TensorRT has at most 8 axes, and some layers fewer",
        "merge axes with a Reshape",
        sources.OPERATORS,
    ),
    Rule(
        "resized-axes",
        "error",
        arguments.resized_axes,
        "the parser stops: the last three axes are resized linearly, the last two cubically",
        "resize the other axes in a node of its own, after a Transpose",
        sources.PARSER_10,
    ),
    Rule(
        "float-shape",
        "error",
        arguments.float_shape,
        "the parser stops: such floats must follow from constants and shapes alone",
        "use integers, or make them constants",
        sources.RTX,
    ),
    Rule(
        "training",
        "error",
        arguments.training,
        "the parser stops: it reads only a constant of false",
        "export the model for inference",
        sources.PARSER_10,
    ),
    Rule(
        "attention",
        "error",
        arguments.attention,
        "the parser stops: no layer of TensorRT computes that",
        "export the layer as MatMul and Softmax, at an opset below 23",
        sources.RTX,
    ),
    Rule(
        "vector-times-stack",
        "error",
        arguments.vector_times_stack,
        "the parser stops: it reshapes the vector wrongly",
        "put an axis of 1 before the vector's, and remove it after",
        sources.RTX,
    ),
    Rule(
        "top-k",
        "error",
        arguments.top_k,
        "the builder stops: K is at most 3840",
        "use a smaller K",
        sources.TOP_K,
    ),
    Rule(
        "old-broadcast",
        "error",
        arguments.old_broadcast,
        "the parser stops: it broadcasts only as from opset 7 on",
        "convert the model, with onnx.version_converter.convert_version",
        sources.CONVERTER_8_2,
    ),
    Rule(
        "sparse-initializer",
        "error",
        arguments.sparse,
        "the parser stops: it does not read sparse initializers",
        "store it as an ordinary initializer",
        sources.RTX,
    ),
    Rule(
        "rtx-plugin",
        "error",
        arguments.rtx_plugin,
        "TensorRT for RTX has no plugin or kernel for it",
        "replace it by other operators, or use TensorRT",
        sources.RTX,
    ),
)
