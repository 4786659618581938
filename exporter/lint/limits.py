"""What NVIDIA's ONNX parser refuses of an operator that it imports: attributes, element types.

Each row has the releases of TensorRT that refuse it, and where that was found. NVIDIA publishes the
parser's source up to 10.1; later releases are known from TensorRT for RTX 1.7, whose parser refuses
the models of `bench/lint_onnx.py` for the same reasons, in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kexport.lint.sources import (
    CHECKERS,
    OPERATORS,
    PARSER_8_4,
    PARSER_8_5,
    PARSER_8_6,
    PARSER_10,
    RTX,
)


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases of TensorRT from `since` on and below `before`."""

    since: tuple[int, ...] = (0,)
    before: tuple[int, ...] = (1000,)

    def __contains__(self, release: tuple[int, ...]) -> bool:
        """Whether a release is among them."""
        return self.since <= release < self.before


ALL = Releases()
TENSORRT_8 = Releases(before=(10,))
FROM_10 = Releases(since=(10,))
FROM_11 = Releases(since=(11,))


@dataclass(frozen=True, slots=True)
class AttributeLimit:
    """An attribute of an operator with the only values that are imported."""

    operator: str
    attribute: str
    allowed: tuple[Any, ...]
    source: str
    releases: Releases = ALL
    given: tuple[str, Any] | None = None
    """Another attribute and its value: the row is only for nodes that have it."""


@dataclass(frozen=True, slots=True)
class TypeLimit:
    """Operators whose inputs must not have some element types, named as in targets/tensorrt.

    INT64 and DOUBLE count as INT32 and FLOAT where the toolchain casts them down.
    """

    operators: tuple[str, ...]
    inputs: tuple[int, ...]
    refused: tuple[str, ...]
    source: str
    releases: Releases = ALL
    computed: tuple[int, ...] = ()
    """The row is only for nodes one of whose inputs at these places is computed."""


@dataclass(frozen=True, slots=True)
class RankLimit:
    """An operator with the ranks that its first input may have."""

    operators: tuple[str, ...]
    lowest: int
    highest: int
    source: str


_BELOW_8_5 = Releases(before=(8, 5))
_INTEGERS = ("int32", "int64")
_MODES = (
    *("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"),
)
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")

ATTRIBUTES: tuple[AttributeLimit, ...] = (
    AttributeLimit("Attention", "softcap", (0.0,), RTX),
    AttributeLimit("Attention", "softmax_precision", (), RTX),
    AttributeLimit("BatchNormalization", "training_mode", (0,), CHECKERS),
    AttributeLimit("Constant", "sparse_value", (), CHECKERS),
    AttributeLimit("Constant", "value_string", (), CHECKERS),
    AttributeLimit("Constant", "value_strings", (), CHECKERS),
    AttributeLimit("Dropout", "is_test", (1,), CHECKERS),
    AttributeLimit("LSTM", "input_forget", (0,), CHECKERS),
    AttributeLimit("LpNormalization", "p", (1, 2), CHECKERS),
    AttributeLimit("LpPool", "p", (1, 2), CHECKERS),
    *(AttributeLimit(name, "dtype", (1, 10), CHECKERS) for name in _RANDOM),
    AttributeLimit("Resize", "antialias", (0,), CHECKERS),
    AttributeLimit("Resize", "coordinate_transformation_mode", _MODES, CHECKERS),
    AttributeLimit("Resize", "keep_aspect_ratio_policy", ("stretch",), CHECKERS),
    AttributeLimit("Resize", "mode", ("nearest", "linear"), PARSER_8_4, _BELOW_8_5),
    AttributeLimit("Resize", "mode", ("nearest", "linear", "cubic"), CHECKERS),
    AttributeLimit(
        "Resize",
        "nearest_mode",
        ("round_prefer_floor",),
        CHECKERS,
        given=("coordinate_transformation_mode", "tf_half_pixel_for_nn"),
    ),
    AttributeLimit("ScatterND", "reduction", ("none",), PARSER_10, FROM_10),
    AttributeLimit("TensorScatter", "mode", ("linear",), RTX),
)
"""Attributes that a node does not have are not judged: their defaults are imported."""

TYPES: tuple[TypeLimit, ...] = (
    TypeLimit(("DepthToSpace", "SpaceToDepth"), (0,), ("bool",), PARSER_10),
    TypeLimit(("Resize", "Upsample"), (0,), ("bool", *_INTEGERS), OPERATORS),
    TypeLimit(("GridSample",), (0,), ("bool", "int8", *_INTEGERS), OPERATORS),
    TypeLimit(("Gather", "GatherElements", "GatherND"), (0,), ("bool",), PARSER_8_4, _BELOW_8_5),
    TypeLimit(("Where",), (1, 2), ("bool",), PARSER_8_4, _BELOW_8_5),
    TypeLimit(("ArgMax", "ArgMin", "TopK"), (0,), ("int32",), PARSER_8_5, Releases(before=(8, 6))),
    TypeLimit(("Gemm", "MatMul"), (0, 1), _INTEGERS, PARSER_10),
    TypeLimit(("PRelu",), (0, 1), _INTEGERS, PARSER_10),
    TypeLimit(("Relu",), (0,), ("int32",), PARSER_10),
    TypeLimit(("Pow",), (0, 1), _INTEGERS, PARSER_10, Releases(before=(10, 3))),
    TypeLimit(("ReduceL2", "ReduceLogSum", "ReduceLogSumExp"), (0,), _INTEGERS, PARSER_10),
    TypeLimit(("Sign",), (0,), ("int32",), PARSER_8_6, TENSORRT_8),
    TypeLimit(("Clip",), (0,), ("int8",), PARSER_10, computed=(1, 2)),
    TypeLimit(("Clip",), (0,), ("float16",), PARSER_8_4, _BELOW_8_5, computed=(1, 2)),
    TypeLimit(("Mish",), (0,), ("bfloat16",), PARSER_10),
    TypeLimit(("Range",), (0,), ("float16", "bfloat16"), PARSER_10),
    TypeLimit(("Einsum",), (0, 1), ("int8", *_INTEGERS), RTX, FROM_11),
    TypeLimit(("Celu",), (0,), ("float16", "bfloat16"), RTX, FROM_11),
    TypeLimit(("Attention",), (0,), ("float32", "float64"), RTX),
)

RANKS: tuple[RankLimit, ...] = (
    RankLimit(("Conv", "ConvTranspose"), 3, 5, OPERATORS),
    RankLimit(("InstanceNormalization",), 3, 8, OPERATORS),
    RankLimit(("TensorScatter",), 4, 4, RTX),
)
