"""Lint rules for the deep-learning accelerator (DLA) that some Jetsons have besides the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from kexport.lint import operators
from kexport.lint.context import LintContext, Violation, at_node
from kexport.lint.qdq import QDQ
from kexport.lint.rule import Rule

LARGEST_AXIS = 8192
"""The largest size of an axis other than the batch (`LIMITS`)."""

NATIVE = frozenset(
    {"Abs", "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Constant"}
    | {"ConstantOfShape", "Conv", "ConvTranspose", "Equal", "Gemm", "LRN", "LeakyRelu", "MatMul"}
    | {"Max", "MaxPool", "Mul", "PRelu", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice"}
    | {"Softmax", "Split", "Sub", "Sum", "Tanh", "Transpose", "Upsample"}
)
"""Operators that TensorRT 8.5 and 8.6 run on Orin's DLA, or evaluate at build time."""

LIMITS = "https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/dla-layer-restrictions.html"
OPERATORS = "https://github.com/NVIDIA/Deep-Learning-Accelerator-SW/blob/main/operators/README.md"


def fallback(context: LintContext) -> Iterator[Violation]:
    """Find operators that fall back to the GPU."""
    for node in context.nodes():
        if node.op_type not in NATIVE and node.op_type not in QDQ:
            yield at_node(node, "the accelerator does not support it")


def large(context: LintContext) -> Iterator[Violation]:
    """Find tensors with a long axis."""
    for node in context.nodes():
        for value in node.outputs:
            extents = [extent for extent in (value.shape or ())[1:] if isinstance(extent, int)]
            if extents and max(extents) > LARGEST_AXIS:
                yield at_node(node, f"an axis of {max(extents)}")


def quantized(context: LintContext) -> Iterator[Violation]:
    """Find QuantizeLinear and DequantizeLinear before TensorRT 11."""
    if context.rules.typing != "strong":
        for node in context.nodes(*QDQ):
            yield at_node(node, "explicit quantisation")


RULES: tuple[Rule, ...] = (
    Rule(
        "dla-open-axis",
        "error",
        operators.open_axes,
        "the accelerator supports only fixed sizes",
        "fix the size",
        LIMITS,
    ),
    Rule(
        "dla-quantization",
        "error",
        quantized,
        "up to TensorRT 10, int8 comes only from a calibration cache or dynamic ranges",
        "build the float model with a calibration cache, or in float16",
        OPERATORS,
    ),
    Rule(
        "dla-large",
        "warning",
        large,
        f"an axis above {LARGEST_AXIS} runs on the GPU, and needs --allowGPUFallback to build",
        "use a smaller image, or fewer channels",
        LIMITS,
    ),
    Rule(
        "dla-fallback",
        "warning",
        fallback,
        "it runs on the GPU, and needs --allowGPUFallback to build",
        "replace it by operators that the accelerator supports, or allow the fallback",
        OPERATORS,
    ),
)
"""Rules in addition to those of `kexport.lint.rules`, for graphs that run on the accelerator."""
