"""Operations of TensorFlow that tf2onnx does not know, or writes wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from kexport.conversion.einsum import einsum
from kexport.conversion.tf2onnx_nodes import Handler, Nodes, written
from kexport.needs import need

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)

WIDER: dict[int, int] = {
    TensorProto.INT8: TensorProto.INT32,
    TensorProto.INT16: TensorProto.INT32,
    TensorProto.UINT8: TensorProto.INT32,
    TensorProto.UINT16: TensorProto.INT32,
    TensorProto.UINT32: TensorProto.INT64,
}
"""Types of whole numbers that ONNX Runtime does not divide, and ones that hold them."""

PRODUCTS = 8
"""Largest exponent of whole numbers that is written as products; chosen to keep graphs small."""

SIGN_BIT = np.iinfo(np.int32).min
"""The int32 whose only bit is the sign of a float32."""


def _erfc(op: Nodes) -> str:
    """Write Erfc(x) as 1 - Erf(x)."""
    return op("Sub", op.constant(1), op("Erf", op.inputs[0]))


def _select(op: Nodes) -> str:
    """Write SelectV2 as Where; tf2onnx multiplies by 0, which leaves NaN and infinities."""
    return op("Where", *op.inputs)


def _floor_mod(op: Nodes) -> str:
    """Write FloorMod: the remainder has the sign of the divisor; fmod(x, inf) is x."""
    x, y = op.inputs
    if op.dtype not in FLOATS:
        return op("Mod", x, y)
    rest, zero = op("Mod", x, y, fmod=1), op.constant(0)
    against = op("Xor", op("Less", rest, zero), op("Less", y, zero))
    moved = op("And", against, op("Not", op("Equal", rest, zero)))
    return op("Where", moved, op("Add", rest, y), rest)


def _floor_div(op: Nodes) -> str:
    """Write FloorDiv; ONNX divides whole numbers towards zero.

    ONNX Runtime divides no whole numbers but int32 and int64; those that these hold are cast.
    """
    if op.dtype in FLOATS:
        return op("Floor", op("Div", *op.inputs))
    wide = WIDER.get(op.dtype, op.dtype)
    x, y = (op("Cast", value, to=wide) if wide != op.dtype else value for value in op.inputs)
    quotient, zero = op("Div", x, y), op.constant(0, wide)
    rest = op("Sub", x, op("Mul", quotient, y))
    against = op("Xor", op("Less", rest, zero), op("Less", y, zero))
    moved = op("And", against, op("Not", op("Equal", rest, zero)))
    floor = op("Sub", quotient, op("Cast", moved, to=wide))
    return op("Cast", floor, to=op.dtype) if wide != op.dtype else floor


def _expm1(op: Nodes) -> str:
    """Write Expm1(x) as 2 exp(x/2) sinh(x/2), which is exact near 0, and as -1 far below it."""
    half = op("Mul", op.inputs[0], op.constant(0.5))
    product = op("Mul", op("Exp", half), op("Sinh", half))
    far = op("Less", op.inputs[0], op.constant(-30))
    return op("Where", far, op.constant(-1), op("Mul", product, op.constant(2)))


def _log1p(op: Nodes) -> str:
    """Write Log1p(x) as x log(y) / (y - 1) with y = 1 + x (Goldberg, 1991, theorem 4)."""
    x, one = op.inputs[0], op.constant(1)
    y = op("Add", x, one)
    beyond = op("Sub", y, one)
    log = op("Div", op("Mul", x, op("Log", y)), beyond)
    as_it_is = op("Or", op("Equal", y, one), op("Equal", x, op.constant(np.inf)))
    return op("Where", as_it_is, x, log)


def _bias_add(op: Nodes) -> str:
    """Write BiasAdd; tf2onnx adds the bias of channels that come first to the last axis.

    Raises:
        ValueError: channels come first, and the number of axes is not known.
    """
    x, bias = op.inputs
    if op.node.get_attr_value("data_format", b"NHWC") == b"NCHW":
        shape = op.context.get_shape(x)
        if shape is None:
            raise ValueError("the number of axes of its input is not known")
        later = list(range(1, len(shape) - 1))
        bias = op("Unsqueeze", bias, op.constant(later, TensorProto.INT64)) if later else bias
    return op("Add", x, bias)


def _bucketize(op: Nodes) -> str:
    """Write Bucketize: the number of boundaries that x is not below; NaN is below none."""
    boundaries = list(op.node.get_attr("boundaries").floats)
    x = op("Cast", op.inputs[0], to=TensorProto.FLOAT)
    column = op("Unsqueeze", x, op.constant([-1], TensorProto.INT64))
    below = op("Less", column, op.constant(boundaries, TensorProto.FLOAT))
    counted = op("Cast", op("Not", below), to=TensorProto.INT32)
    return op("ReduceSum", counted, op.constant([-1], TensorProto.INT64), keepdims=0)


def _bitcast(op: Nodes) -> str:
    """Write a Bitcast of float32 to int32 of which only the sign is read.

    A negative number, or a negative zero, becomes the sign bit, any other zero.

    Raises:
        ValueError: more than the sign is read.
    """
    readers = op.context.find_output_consumers(op.node.output[0])
    if op.dtype != TensorProto.FLOAT or not readers or not all(map(_reads_sign, readers)):
        raise ValueError("ONNX cannot read the bits of a number")
    x, zero = op.inputs[0], op.constant(0)
    negative = op("Or", op("Less", x, zero), op("Less", op("Reciprocal", x), zero))
    bits = [op.constant(value, TensorProto.INT32) for value in (SIGN_BIT, 0)]
    return op("Where", negative, *bits)


def _reads_sign(reader: Any) -> bool:
    masks = [source.get_tensor_value() for source in reader.inputs if source.is_const()]
    return reader.type == "BitwiseAnd" and masks == [SIGN_BIT]


def _band_part(op: Nodes) -> str:
    """Write MatrixBandPart as Where; tf2onnx multiplies by 0, which leaves NaN and infinities.

    Raises:
        ValueError: the width of the band is only known at run time.
    """
    lower, upper, shape = op.value_of(1), op.value_of(2), op.context.get_shape(op.inputs[0])
    if lower is None or upper is None:
        raise ValueError("the width of the band is not known")
    if shape is None or min(shape[-2:]) < 0:
        return _open_band(op, int(lower), int(upper))
    rows, columns = np.indices(shape[-2:])
    kept = np.ones(shape[-2:], bool)
    if lower >= 0:
        kept &= rows - columns <= lower
    if upper >= 0:
        kept &= columns - rows <= upper
    return op("Where", op.constant(kept, TensorProto.BOOL), op.inputs[0], op.constant(0))


def _open_band(op: Nodes, lower: int, upper: int) -> str:
    """Write a band of matrices of open sizes as Trilu, which ONNX has from opset 14."""
    known = op.dtype in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64)
    band = op.inputs[0] if known else op("Cast", op.inputs[0], to=TensorProto.INT64)
    if lower >= 0:
        band = op("Trilu", band, op.constant(-lower, TensorProto.INT64), upper=1)
    if upper >= 0:
        band = op("Trilu", band, op.constant(upper, TensorProto.INT64), upper=0)
    return band if known else op("Cast", band, to=op.dtype)


def _power(op: Nodes) -> str:
    """Write Pow; of whole numbers, the powers that are a few products.

    Raises:
        ValueError: another power of whole numbers, whose overflow ONNX Runtime computes otherwise.
    """
    if op.dtype in FLOATS:
        return op("Pow", *op.inputs)
    exponent = op.value_of(1)
    if exponent is None or exponent.size != 1 or not 1 <= exponent.item() <= PRODUCTS:
        raise ValueError(
            "whole numbers with an exponent that is no small constant; cast to float32"
        )
    result = op.inputs[0]
    for _ in range(int(exponent.item()) - 1):
        result = op("Mul", result, op.inputs[0])
    return result


def _scatter_nd(op: Nodes) -> str:
    """Write ScatterNd: updates of the same element are added up, where ONNX takes any of them."""
    indices, updates, shape = op.inputs
    dtype = op.context.get_dtype(updates)
    sizes = op("Cast", shape, to=TensorProto.INT64)
    zeros = op("Cast", op("ConstantOfShape", sizes), to=dtype)
    places = op("Cast", indices, to=TensorProto.INT64)
    known = op.value_of(0)
    if known is not None:
        rows = known.reshape(-1, known.shape[-1])
        if len(np.unique(rows, axis=0)) == len(rows):
            return op("ScatterND", zeros, places, updates)
    return op("ScatterND", zeros, places, updates, reduction="add")


def _segments(reduction: str, empty: Callable[[Any], Any]) -> Callable[[Nodes], str]:
    """Make the nodes of an UnsortedSegment operation; a segment without rows holds `empty(type)`.

    tf2onnx puts an infinity there, and adds up rows with a negative number, which are in no
    segment: here they go to one more, which is cut off.
    """

    def write(op: Nodes) -> str:
        data, ids, _ = op.inputs
        if len(op.context.get_shape(ids) or ()) != 1:
            raise ValueError("the numbers of its segments have more than one axis")
        kind = tensor_dtype_to_np_dtype(op.dtype)
        lowest = empty(np.finfo(kind) if op.dtype in FLOATS else np.iinfo(kind))
        one, zero = (op.constant([value], TensorProto.INT64) for value in (1, 0))
        count = op("Reshape", op("Cast", op.inputs[2], to=TensorProto.INT64), one)
        tail = op("Slice", op("Shape", data), one, op.constant([2**31], TensorProto.INT64))
        shape = op("Concat", op("Add", count, one), tail, axis=0)
        start = op("Expand", op.constant(lowest), shape)
        number = op("Cast", ids, to=TensorProto.INT64)
        number = op("Where", op("Less", number, zero), count, number)
        places = op("Unsqueeze", number, op.constant([-1], TensorProto.INT64))
        found = op("ScatterND", start, places, data, reduction=reduction)
        return op("Slice", found, zero, count, zero)

    return write


def _patches(op: Nodes) -> str:
    """Write ExtractImagePatches as a convolution whose outputs are the pixels of a patch.

    Raises:
        ValueError: the number of channels is open, or ONNX Runtime does not compute the padding.
    """
    shape = op.context.get_shape(op.inputs[0]) or [-1] * 4
    size, strides, rates = (op.node.get_attr_value(name)[1:3] for name in WINDOW)
    same = op.node.get_attr_value("padding").decode() == "SAME"
    beyond = any(step > extent for step, extent in zip(strides, size, strict=True))
    if shape[3] < 0 or (same and (beyond or set(rates) != {1})):
        raise ValueError("open channels, or SAME with rates or with strides beyond the patch")
    places = size[0] * size[1] * shape[3]
    pixels = np.eye(places).reshape(places, size[0], size[1], shape[3]).transpose(0, 3, 1, 2)
    image = op("Transpose", op.inputs[0], perm=[0, 3, 1, 2])
    patches = op(
        "Conv",
        image,
        op.constant(pixels),
        kernel_shape=size,
        strides=strides,
        dilations=rates,
        auto_pad="SAME_UPPER" if same else "VALID",
    )
    return op("Transpose", patches, perm=[0, 2, 3, 1])


WINDOW = ("ksizes", "strides", "rates")
"""Attributes of ExtractImagePatches: the patch, its steps, and the distance of its pixels."""


def _atan2(op: Nodes) -> str:
    """Write Atan2(y, x) as Atan(y / x), half a turn further where x is negative.

    Zeros have signs, and of two infinities only the signs count (C99, F.9.1.4).
    """
    zero = op.constant(0)
    infinite = op("And", *(op("IsInf", value) for value in op.inputs))
    y, x = (op("Where", infinite, op("Sign", value), value) for value in op.inputs)
    down, left = (
        op("Or", op("Less", value, zero), op("Less", op("Reciprocal", value), zero))
        for value in (y, x)
    )
    turn = op("Where", down, op.constant(-np.pi), op.constant(np.pi))
    flat = op("Where", down, op.constant(-0.0), zero)
    within = op("Where", op("Equal", y, zero), flat, op("Atan", op("Div", y, x)))
    level = op("And", left, op("Equal", y, zero))
    beyond = op("Where", level, turn, op("Add", within, turn))
    return op("Where", left, beyond, within)


def _one_hot(op: Nodes) -> str:
    """Write OneHot as a comparison: an index out of range is nowhere hot; in ONNX it may wrap.

    Raises:
        ValueError: the depth, or the number of axes, is only known at run time.
    """
    depth, shape = op.value_of(1), op.context.get_shape(op.inputs[0])
    if depth is None or shape is None:
        raise ValueError("its depth, or the number of axes of its input, is not known")
    axis = op.node.get_attr_value("axis", -1) % (len(shape) + 1)
    extents = [1] * (len(shape) + 1)
    extents[axis] = int(depth)
    index = op("Cast", op.inputs[0], to=TensorProto.INT64)
    index = op("Unsqueeze", index, op.constant([axis], TensorProto.INT64))
    every = op.constant(np.arange(int(depth)).reshape(extents), TensorProto.INT64)
    return op("Where", op("Equal", index, every), op.inputs[2], op.inputs[3])


def _bincount(op: Nodes) -> str:
    """Write DenseBincount with weights, which tf2onnx lacks: the weights where a number stands."""
    numbers, size, weights = op.inputs
    last = op.constant([-1], TensorProto.INT64)
    bins = op("Range", op.constant(0), size, op.constant(1))
    here = op("Equal", op("Unsqueeze", numbers, last), bins)
    zero = op.constant(0, op.context.get_dtype(weights))
    found = op("Where", here, op("Unsqueeze", weights, last), zero)
    return op("ReduceSum", found, op.constant([-2], TensorProto.INT64), keepdims=0)


def _bincount_of(context: Any, node: Any, name: str, args: Any) -> None:
    """Leave DenseBincount without weights to tf2onnx."""
    if 0 not in (context.get_shape(node.input[2]) or ()):
        written(_bincount)(context, node, name, args)
        return
    tf2onnx = need("tf2onnx")
    tf2onnx.onnx_opset.tensor.Bincount.any_version(context.opset, context, node)


HANDLERS: dict[str, Handler] = {
    "Atan2": written(_atan2),
    "BiasAdd": written(_bias_add),
    "Bitcast": written(_bitcast),
    "Bucketize": written(_bucketize),
    "DenseBincount": _bincount_of,
    "Einsum": written(einsum),
    "Erfc": written(_erfc),
    "Expm1": written(_expm1),
    "ExtractImagePatches": written(_patches),
    "FloorDiv": written(_floor_div),
    "FloorMod": written(_floor_mod),
    "Log1p": written(_log1p),
    "MatrixBandPart": written(_band_part),
    "OneHot": written(_one_hot),
    "Pow": written(_power),
    "ScatterNd": written(_scatter_nd),
    "SelectV2": written(_select),
    "UnsortedSegmentMax": written(_segments("max", lambda limits: limits.min)),
    "UnsortedSegmentMin": written(_segments("min", lambda limits: limits.max)),
    "UnsortedSegmentProd": written(_segments("mul", lambda limits: 1)),
    "UnsortedSegmentSum": written(_segments("add", lambda limits: 0)),
}
"""Handlers by the name of the operation; each replaces the node by nodes of ONNX."""
