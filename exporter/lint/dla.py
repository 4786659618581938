"""Rules for the deep-learning accelerator (DLA) that some Jetsons have beside the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from kexport.lint import operators
from kexport.lint.context import Place, Subject, at
from kexport.lint.qdq import QDQ
from kexport.lint.rule import Rule

LARGEST = 8192
"""The largest extent of an axis other than the batch."""

NATIVE = frozenset(
    {"Abs", "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Constant"}
    | {"ConstantOfShape", "Conv", "ConvTranspose", "Equal", "Gemm", "LRN", "LeakyRelu", "MatMul"}
    | {"Max", "MaxPool", "Mul", "PRelu", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice"}
    | {"Softmax", "Split", "Sub", "Sum", "Tanh", "Transpose", "Upsample"}
)
"""Operators that TensorRT 8.5 and 8.6 hand to the DLA of Orin, or resolve when building."""

LIMITS = "https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/dla-layer-restrictions.html"
OPERATORS = "https://github.com/NVIDIA/Deep-Learning-Accelerator-SW/blob/main/operators/README.md"


def fallback(subject: Subject) -> Iterator[Place]:
    """An operator that runs on the GPU."""
    for node in subject.nodes():
        if node.op_type not in NATIVE and node.op_type not in QDQ:
            yield at(node, "the accelerator does not have it")


def large(subject: Subject) -> Iterator[Place]:
    """A tensor with a long axis."""
    for node in subject.nodes():
        for value in node.outputs:
            extents = [extent for extent in (value.shape or ())[1:] if isinstance(extent, int)]
            if extents and max(extents) > LARGEST:
                yield at(node, f"an axis of {max(extents)}")


def quantized(subject: Subject) -> Iterator[Place]:
    """A QuantizeLinear or DequantizeLinear before TensorRT 11."""
    if subject.rules.typing != "strong":
        for node in subject.nodes(*QDQ):
            yield at(node, "explicit quantisation")


RULES: tuple[Rule, ...] = (
    Rule(
        "dla-open-axis",
        "error",
        operators.open_axes,
        "the accelerator takes fixed sizes only",
        "fix the size",
        LIMITS,
    ),
    Rule(
        "dla-quantization",
        "error",
        quantized,
        "up to TensorRT 10 it takes int8 from a calibration cache or dynamic ranges only",
        "build the float model with a calibration cache, or in float16",
        OPERATORS,
    ),
    Rule(
        "dla-large",
        "warning",
        large,
        f"an axis above {LARGEST} runs on the GPU, and does not build without --allowGPUFallback",
        "use a smaller image, or fewer channels",
        LIMITS,
    ),
    Rule(
        "dla-fallback",
        "warning",
        fallback,
        "it runs on the GPU, and does not build without --allowGPUFallback",
        "write it in operators that the accelerator has, or allow the fallback",
        OPERATORS,
    ),
)
"""Beside those of `kexport.lint.rules`, for graphs that are to run on the accelerator."""
