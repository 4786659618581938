"""Arguments for each public function of keras.ops, as the models of bench/ops.py call it.

A case is a list of inputs and the keyword arguments. An input is its shape without the batch, in
words: "4x5". Each case runs for every type in the group. What stands in no group takes no tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FLOATS = ("float32",)
NUMBERS = ("float32", "int32", "uint8", "int64")
ALL = (*NUMBERS, "bool")
WHOLE = ("int32", "uint8", "int64")


@dataclass(frozen=True, slots=True)
class Case:
    """One call: inputs that are tensors, then keyword arguments."""

    inputs: tuple[str, ...] = ("4x5",)
    named: dict[str, Any] = field(default_factory=dict)
    types: tuple[str, ...] = FLOATS
    listed: bool = False
    """Whether the inputs are given as one list."""
    positional: tuple[Any, ...] = ()
    """Arguments after the inputs."""
    below: int | None = None
    """Whole numbers are smaller than this, as indices have to be."""
    prefix: tuple[Any, ...] = ()
    """Arguments before the inputs."""
    positive: bool = False
    """Whether matrices are symmetric and positive definite."""


def _each(names: str, *cases: Case) -> dict[str, tuple[Case, ...]]:
    return dict.fromkeys(names.split(), cases)


def _unary(names: str, types: tuple[str, ...] = ALL) -> dict[str, tuple[Case, ...]]:
    return _each(names, Case(types=types))


TWO = ("4x5", "4x5")
INDEX = ("int32",)
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 2, 3)).astype(np.float32)

TABLE: dict[str, tuple[Case, ...]] = {
    **_unary(
        "abs absolute angle arccos arccosh arcsin arcsinh arctan arctanh bitwise_invert "
        "bitwise_not cbrt ceil conj conjugate copy cos cosh deg2rad exp exp2 expm1 fabs floor "
        "gelu i0 identity "
        "imag isfinite isinf isnan isneginf isposinf isreal log log10 log1p log2 "
        "logical_not nan_to_num negative nonzero ones_like rad2deg real reciprocal "
        "round sign signbit sin sinc sinh size sqrt square stop_gradient tan tanh trunc zeros_like "
        "empty_like count_nonzero ravel convert_to_tensor"
    ),
    **_unary(
        "celu elu erf erfc erfinv hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
        "leaky_relu log_sigmoid log_softmax relu relu6 rsqrt selu sigmoid silu soft_shrink softmax "
        "softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh_shrink "
        "logsumexp exp rms_normalization normalize",
        FLOATS,
    ),
    "glu": (Case(("4x6",)),),
    "threshold": (Case(positional=(0.1, 0.0)),),
    **_each(
        "add subtract multiply divide true_divide floor_divide mod fmod maximum minimum fmax fmin "
        "power equal not_equal greater greater_equal less less_equal logical_and logical_or "
        "logical_xor arctan2 heaviside hypot logaddexp logaddexp2 divide_no_nan nextafter "
        "isclose allclose",
        Case(TWO, types=ALL),
        Case(("4x5",), positional=(2,), types=NUMBERS),
        Case(("4x5", "5"), types=FLOATS),
    ),
    **_each("bitwise_and bitwise_or bitwise_xor gcd lcm", Case(TWO, types=(*WHOLE, "bool"))),
    **_each(
        "bitwise_left_shift bitwise_right_shift left_shift right_shift",
        Case(("4x5",), positional=(2,), types=WHOLE),
        Case(TWO, types=WHOLE, below=5),
    ),
    "ldexp": (Case(("4x5",), positional=(2,)),),
    **_each(
        "all any amax amin max min mean prod sum std var argmax argmin median logsumexp ptp "
        "nanmax nanmin nansum nanmean nanprod nanstd nanvar nanmedian nanargmax nanargmin norm "
        "average",
        Case(types=ALL),
        Case(named={"axis": -1}, types=ALL),
        Case(named={"axis": 1}),
    ),
    **_each(
        "cumsum cumprod nancumsum nancumprod argsort sort diff flip",
        Case(named={"axis": -1}, types=NUMBERS),
        Case(named={"axis": 1}),
    ),
    **_each(
        "quantile nanquantile", Case(positional=(0.3,), named={"axis": -1}), Case(positional=(0.5,))
    ),
    **_each("percentile nanpercentile", Case(positional=(30,), named={"axis": -1})),
    "argpartition": (Case(positional=(2,)),),
    "append": (Case(TWO, types=NUMBERS), Case(TWO, named={"axis": -1})),
    "array_split": (Case(positional=(2,), named={"axis": -1}),),
    **_each(
        "concatenate stack",
        Case(TWO, listed=True, types=ALL),
        Case(TWO, named={"axis": -1}, listed=True),
    ),
    **_each("hstack vstack dstack", Case(TWO, listed=True)),
    "dsplit": (Case(("4x6",), positional=(2,)),),
    "hsplit": (Case(positional=(2,)),),
    "split": (
        Case(("4x6",), positional=(2, -1), types=NUMBERS),
        Case(("4x6",), positional=([1, 4], 2)),
    ),
    "unstack": (Case(named={"axis": 1}),),
    "broadcast_to": (Case(("1x5",), positional=((2, 4, 5),)),),
    "cast": (
        *(Case(positional=(dtype,), types=ALL) for dtype in ("int32", "bool", "float32", "int64")),
        Case(positional=("uint8",), types=(*WHOLE, "bool")),
    ),
    "saturate_cast": tuple(Case(positional=(dtype,)) for dtype in ("int32", "uint8", "int8")),
    "clip": (Case(positional=(-1, 1), types=("float32", "int32", "int64")),),
    "cross": (Case(("4x3", "4x3"), types=("float32", "int32")),),
    "cdist": (Case(TWO),),
    "corrcoef": (Case(("5",)),),
    "correlate": (),
    "dot": (Case(("5", ""), types=FLOATS), Case(positional=(2,))),
    "inner": (Case(("5", "5")), Case(("4x5", "4x5"))),
    "outer": (Case(("4", "4"), types=("float32", "int32")),),
    "kron": (Case(("2", "2")),),
    "vdot": (Case(("5", "5")),),
    "tensordot": (Case(("4x5", "5x3"), named={"axes": [[2], [1]]}),),
    "matmul": (Case(("4x5", "5x3"), types=("float32", "int32")), Case(("4x5", "5"))),
    "einsum": (
        Case(("4x5", "5x3"), prefix=("bij,bjk->bik",)),
        Case(("4x5", "4x5"), prefix=("...j,...j->...",)),
        Case(("4x5",), prefix=("bij->bji",)),
    ),
    "diag": (Case(("5",)),),
    "diagflat": (Case(("5",)),),
    "diagonal": (Case(("4x4",), named={"axis1": 1, "axis2": 2}),),
    "trace": (Case(("4x4",), named={"axis1": 1, "axis2": 2}),),
    "tril": (Case(types=("float32", "int32")), Case(named={"k": 1})),
    "triu": (Case(types=("float32", "int32")), Case(named={"k": -1})),
    "vander": (Case(("",), named={"N": 3}),),
    "digitize": (Case(named={"bins": np.float32([-0.5, 0, 0.5])}, types=NUMBERS),),
    "searchsorted": (Case(("",), prefix=(np.float32([-1, 0, 1]),)),),
    "isin": (Case(positional=([1, 2, 3],), types=NUMBERS),),
    "in_top_k": (),
    "expand_dims": (Case(positional=(1,), types=ALL),),
    "squeeze": (Case(("1x5",), positional=(1,), types=ALL),),
    "fliplr": (Case(),),
    "flipud": (Case(),),
    "full_like": (Case(positional=(3,), types=NUMBERS),),
    "get_item": (Case(positional=((slice(None), 1),)),),
    "moveaxis": (Case(positional=(1, 2)),),
    "swapaxes": (Case(positional=(1, 2)),),
    "transpose": (Case(types=ALL), Case(named={"axes": (0, 2, 1)})),
    "rot90": (Case(named={"axes": (1, 2)}),),
    "roll": (Case(positional=(1,), named={"axis": 1}), Case(positional=(2,))),
    "repeat": (Case(positional=(2,), named={"axis": 1}), Case(positional=(2,))),
    "tile": (Case(positional=((1, 2, 1),), types=NUMBERS),),
    "pad": tuple(
        Case(positional=(((0, 0), (1, 2), (0, 0)),), named={"mode": mode})
        for mode in ("constant", "reflect", "symmetric")
    ),
    "reshape": (Case(positional=((-1, 20),), types=ALL), Case(positional=((-1, 5),))),
    "rearrange": (Case(prefix=(), positional=("b h w -> b w h",)),),
    "meshgrid": (),
    "select": (),
    "where": (Case(("4x5", "4x5", "4x5")),),
    "take": (
        Case(positional=([0, 2],), named={"axis": -1}, types=NUMBERS),
        Case(positional=([0, -1],), named={"axis": 1}),
    ),
    "take_along_axis": (
        Case(("4x5",), positional=(np.int32([[[0], [1], [2], [0]]] * 2),), named={"axis": -1}),
    ),
    "top_k": (Case(positional=(2,), types=("float32", "int32")),),
    "unique": (),
    "unravel_index": (Case(("5",), positional=((4, 5),), types=INDEX, below=20),),
    "bincount": (Case(("5",), named={"minlength": 6}, types=INDEX, below=6),),
    "histogram": (Case(positional=(5,)),),
    "multi_hot": (Case(("5",), positional=(6,), types=INDEX, below=6),),
    "one_hot": (
        Case(("5",), positional=(6,), types=INDEX, below=6),
        Case(("5",), positional=(6,), named={"axis": 1}, types=("int32", "int64")),
    ),
    "trapezoid": (Case(),),
    "scatter": (Case(prefix=([[0], [0]],), positional=((4, 4, 5),)),),
    "slice": (Case(positional=((0, 1, 1), (2, 2, 3))),),
    "slice_update": (Case(positional=([0, 1, 1], np.ones((1, 2, 2), np.float32))),),
    "scatter_update": (
        Case(positional=([[0, 1, 1], [1, 2, 2]], [1.0, 2.0])),
        Case(positional=([[0, 1, 1], [0, 1, 1]], [1.0, 2.0], "add")),
    ),
    "view": (Case(positional=("int32",)),),
    "moments": (Case(named={"axes": [-1]}),),
    "batch_normalization": (Case(positional=(np.float32([0.1] * 5), np.float32([1.5] * 5), -1)),),
    "layer_normalization": (Case(),),
    "average_pool": (Case(("6x6x2",), positional=(2,)),),
    "max_pool": (Case(("6x6x2",), positional=(2,), types=("float32",)),),
    "adaptive_average_pool": (Case(("6x6x2",), positional=((3, 2),)),),
    "adaptive_max_pool": (Case(("6x6x2",), positional=((3, 2),)),),
    "conv": (Case(("6x6x2",), positional=(KERNEL,), named={"padding": "same"}),),
    "conv_transpose": (Case(("6x6x2",), positional=(KERNEL.transpose(0, 1, 3, 2), 2)),),
    "depthwise_conv": (Case(("6x6x2",), positional=(KERNEL[..., :2],)),),
    "separable_conv": (
        Case(("6x6x2",), positional=(KERNEL[..., :2], KERNEL[:1, :1].repeat(2, 2))),
    ),
    "depth_to_space": (Case(("4x4x8",), positional=(2,)),),
    "space_to_depth": (Case(("4x4x2",), positional=(2,)),),
    "binary_crossentropy": (Case(TWO),),
    "categorical_crossentropy": (Case(TWO),),
    "sparse_categorical_crossentropy": (Case(prefix=(np.int32([[0, 1, 2, 3], [3, 2, 1, 0]]),)),),
    "dot_product_attention": (Case(("4x2x3", "4x2x3", "4x2x3")),),
    "polar": (Case(TWO),),
    "psnr": (Case(TWO, positional=(1.0,)),),
    **_each(
        "cholesky cholesky_inverse det inv logdet slogdet pinv eigh qr svd lu_factor matrix_rank",
        Case(("3x3",), positive=True),
    ),
    "eig": (Case(("3x3",), positive=True),),
    "solve": (Case(("3x3", "3x2"), positive=True),),
    "solve_triangular": (Case(("3x3", "3x2"), positive=True),),
    "lstsq": (),
    "fft": (),
    "fft2": (),
    "ifft2": (),
    "irfft": (),
    "istft": (),
    "rfft": (Case(("8",)),),
    "stft": (Case(("32",), positional=(8, 4, 8)),),
    "extract_sequences": (Case(("32",), positional=(8, 4)),),
    **_each(
        "segment_sum segment_max segment_min segment_prod",
        Case(positional=(np.int32([0, 0]), 3), types=NUMBERS),
    ),
    "unfold": (Case(("2x6x6",), positional=(2,)),),
    "image.rgb_to_grayscale": (Case(("6x6x3",)),),
    "image.rgb_to_hsv": (Case(("6x6x3",)),),
    "image.hsv_to_rgb": (Case(("6x6x3",)),),
    "image.resize": (
        Case(("6x6x3",), positional=((9, 12),)),
        Case(("6x6x3",), positional=((3, 4),), named={"interpolation": "nearest"}),
    ),
    "image.crop_images": (
        Case(
            ("6x6x3",),
            named={"top_cropping": 1, "left_cropping": 2, "target_height": 3, "target_width": 3},
        ),
    ),
    "image.pad_images": (
        Case(
            ("6x6x3",),
            named={"top_padding": 1, "left_padding": 2, "target_height": 9, "target_width": 9},
        ),
    ),
    "image.extract_patches": (Case(("6x6x3",), positional=((2, 2),)),),
    "image.extract_patches_3d": (Case(("4x4x4x2",), positional=((2, 2, 2),)),),
    "image.gaussian_blur": (Case(("6x6x3",)),),
    "image.sobel_edges": (Case(("6x6x3",)),),
    "image.affine_transform": (
        Case(("6x6x3",), positional=(np.float32([1, 0.1, 0, 0, 1, 0, 0, 0]),)),
    ),
    "image.elastic_transform": (Case(("6x6x3",)),),
}
"""The cases of each function; none where it takes functions, complex numbers or open shapes."""
