"""TensorFlow functions and layers of Keras 2 models, as operations of Keras 3.

Keras 2 records a call of TensorFlow on a symbolic tensor as a layer `TFOpLambda` with the
function's name and its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kexport.source.keras2.refusal import refuse

Function = Callable[..., Any]

_IGNORED = {"name", "conjugate", "validate_indices"}
"""Arguments of TensorFlow functions that change no real number."""


def _alike(*values: Any) -> list[Any]:
    """Give lists of numbers the type of the tensor beside them, as TensorFlow does."""
    dtype = next((_dtype(value) for value in values if hasattr(value, "dtype")), None)
    return [
        np.asarray(value, dtype) if isinstance(value, (list, tuple)) else value for value in values
    ]


def _dtype(x: Any) -> str:
    name: str = keras.backend.standardize_dtype(x.dtype)
    return name


def _reduction(function: Function) -> Function:
    """Return a reduction whose result has the type of its input."""

    def reduced(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        result = function(input_tensor, axis=axis, keepdims=keepdims)
        dtype = _dtype(input_tensor)
        return result if _dtype(result) == dtype else ops.cast(result, dtype)

    return reduced


def _mean(x: Any, axis: Any, keepdims: bool) -> Any:
    if "float" not in _dtype(x):
        raise refuse(f"tf.reduce_mean is of {_dtype(x)}, a mean that TensorFlow rounds")
    return ops.mean(x, axis=axis, keepdims=keepdims)


def _of_two(function: Function) -> Function:
    """Return a function of two numbers, which of two booleans is another one in TensorFlow."""

    def of_two(x: Any, y: Any) -> Any:
        if any(hasattr(value, "dtype") and _dtype(value) == "bool" for value in (x, y)):
            raise refuse("it computes with booleans as with numbers")
        return function(*_alike(x, y))

    return of_two


def _comparison(function: Function) -> Function:
    return lambda x, y: function(*_alike(x, y))


def _where(condition: Any, x: Any, y: Any) -> Any:
    return ops.where(condition, *_alike(x, y))


def _swapped(function: Function) -> Function:
    """Return a function of two arguments in reversed order, as Python's `__rsub__`."""
    straight = _of_two(function)
    return lambda x, y: straight(y, x)


def _resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    if preserve_aspect_ratio or method not in ("bilinear", "nearest", "bicubic", "lanczos3"):
        raise refuse(f"tf.image.resize has method={method!r}, {preserve_aspect_ratio=}")
    if method != "nearest" and _dtype(images) != "float32":
        images = ops.cast(images, "float32")  # TensorFlow's result, whatever the images are
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias)


def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Any:
    kind = mode.lower()
    value = constant_values if kind == "constant" else None
    return ops.pad(tensor, paddings, mode=kind, constant_values=value)


def _getitem(tensor: Any, slice_spec: Any) -> Any:
    return tensor[_index(slice_spec)]


def _index(spec: Any) -> Any:
    """Return a Python index from its JSON form, in which slices and Ellipsis are dicts."""
    if isinstance(spec, list):
        return tuple(_index(item) for item in spec)
    if isinstance(spec, Mapping):
        if spec.get("class_name") == "__ellipsis__":
            return ...
        if not set(spec) <= {"start", "stop", "step"}:
            raise refuse(f"an index is {spec!r}")
        return slice(spec.get("start"), spec.get("stop"), spec.get("step"))
    return spec


def _transpose(a: Any, perm: Any = None) -> Any:
    return ops.transpose(a, perm)


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    a, b = _alike(a, b)
    left = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(left, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    power = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(power, epsilon))


def _clip(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return ops.clip(*_alike(t, clip_value_min, clip_value_max))


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    if data_format not in (None, "NHWC", "channels_last"):
        raise refuse(f"tf.nn.bias_add has data_format={data_format!r}")
    return ops.add(*_alike(value, bias))


def _leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    x = features if "float" in _dtype(features) else ops.cast(features, "float32")
    return ops.leaky_relu(x, negative_slope=alpha)


def _squeeze(input: Any, axis: Any = None) -> Any:
    return ops.squeeze(input, axis=tuple(axis) if isinstance(axis, list) else axis)


_MODULES = ("", "math.")
"""Where TensorFlow has functions that are exported twice."""

_ELEMENTWISE: dict[str, Function] = {
    "abs": ops.abs,
    "cos": ops.cos,
    "exp": ops.exp,
    "floor": ops.floor,
    "negative": ops.negative,
    "round": ops.round,
    "sigmoid": ops.sigmoid,
    "sign": ops.sign,
    "sin": ops.sin,
    "sqrt": ops.sqrt,
    "square": ops.square,
    "tanh": ops.tanh,
}
_MATH: dict[str, Function] = {
    "ceil": ops.ceil,
    "erf": ops.erf,
    "log": ops.log,
    "log1p": ops.log1p,
    "reciprocal": ops.reciprocal,
    "rsqrt": ops.rsqrt,
    "softplus": ops.softplus,
}
_BINARY: dict[str, Function] = {
    "add": ops.add,
    "divide": ops.divide,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "multiply": ops.multiply,
    "pow": ops.power,
    "subtract": ops.subtract,
    "truediv": ops.divide,
}
_COMPARISONS: dict[str, Function] = {
    "equal": ops.equal,
    "greater": ops.greater,
    "greater_equal": ops.greater_equal,
    "less": ops.less,
    "less_equal": ops.less_equal,
    "not_equal": ops.not_equal,
}
_REDUCTIONS: dict[str, Function] = {
    "all": ops.all,
    "any": ops.any,
    "max": ops.max,
    "mean": _mean,
    "min": ops.min,
    "prod": ops.prod,
    "std": ops.std,
    "sum": ops.sum,
    "variance": ops.var,
}
_OPERATORS: dict[str, Function] = {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.divide,
    "floordiv": ops.floor_divide,
    "pow": ops.power,
}
_SHAPES: dict[str, Function] = {
    "__operators__.getitem": _getitem,
    "compat.v1.floor_div": _of_two(ops.floor_divide),
    "math.floordiv": _of_two(ops.floor_divide),
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "clip_by_value": _clip,
    "concat": lambda values, axis: ops.concatenate(_alike(*values), axis=axis),
    "expand_dims": lambda input, axis: ops.expand_dims(input, axis),
    "identity": lambda input: ops.stop_gradient(input),
    "image.resize": _resize,
    "linalg.matmul": _matmul,
    "math.l2_normalize": _l2_normalize,
    "nn.l2_normalize": _l2_normalize,
    "linalg.l2_normalize": _l2_normalize,
    "pad": _pad,
    "compat.v1.pad": _pad,
    "reshape": lambda tensor, shape: ops.reshape(tensor, tuple(shape)),
    "squeeze": _squeeze,
    "compat.v1.squeeze": _squeeze,
    "stack": lambda values, axis=0: ops.stack(_alike(*values), axis=axis),
    "stop_gradient": lambda input: ops.stop_gradient(input),
    "tile": lambda input, multiples: ops.tile(input, multiples),
    "transpose": _transpose,
    "where": _where,
    "compat.v1.transpose": _transpose,
}
_ACTIVATIONS: dict[str, Function] = {
    "bias_add": _bias_add,
    "elu": ops.elu,
    "gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "leaky_relu": _leaky_relu,
    "log_softmax": lambda logits, axis=None: ops.log_softmax(logits, -1 if axis is None else axis),
    "relu": ops.relu,
    "relu6": ops.relu6,
    "selu": ops.selu,
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "softmax": lambda logits, axis=None: ops.softmax(logits, -1 if axis is None else axis),
    "softplus": ops.softplus,
    "softsign": ops.softsign,
    "swish": ops.silu,
    "tanh": ops.tanh,
}

FUNCTIONS: dict[str, Function] = {
    **{f"{module}{name}": each for module in _MODULES for name, each in _ELEMENTWISE.items()},
    **{f"math.{name}": each for name, each in _MATH.items()},
    **{f"{module}{name}": _of_two(each) for module in _MODULES for name, each in _BINARY.items()},
    **{f"math.{name}": _comparison(each) for name, each in _COMPARISONS.items()},
    "math.logical_and": lambda x, y: ops.logical_and(x, y),
    "math.logical_not": lambda x: ops.logical_not(x),
    "math.logical_or": lambda x, y: ops.logical_or(x, y),
    **{f"math.reduce_{name}": _reduction(each) for name, each in _REDUCTIONS.items()},
    **{f"__operators__.{name}": _of_two(each) for name, each in _OPERATORS.items()},
    **{f"__operators__.r{name}": _swapped(each) for name, each in _OPERATORS.items()},
    "__operators__.neg": ops.negative,
    **{f"nn.{name}": function for name, function in _ACTIVATIONS.items()},
    **_SHAPES,
}
"""The functions by the name that TensorFlow exports them under, with TensorFlow's arguments."""


def function_of(name: str) -> Function:
    """Return the operation for a TensorFlow function.

    Raises:
        UnsupportedModel: there is none.
    """
    found = FUNCTIONS.get(name)
    if found is None:
        raise refuse(f"tf.{name} is not among the functions that are rebuilt with keras.ops")
    return lambda *args, **kwargs: found(
        *args, **{key: value for key, value in kwargs.items() if key not in _IGNORED}
    )


_NODES: dict[str, str] = {
    "Abs": "abs",
    "Add": "add",
    "AddV2": "add",
    "Exp": "exp",
    "Identity": "identity",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Mul": "multiply",
    "Neg": "negative",
    "Pow": "pow",
    "RealDiv": "truediv",
    "Relu": "nn.relu",
    "Relu6": "nn.relu6",
    "Rsqrt": "math.rsqrt",
    "Sigmoid": "sigmoid",
    "Softmax": "nn.softmax",
    "Sqrt": "sqrt",
    "Square": "square",
    "Sub": "subtract",
    "Tanh": "tanh",
}
"""Operators of TensorFlow's graphs, and the functions that make them."""


def _node(config: Mapping[str, Any]) -> Function:
    """Return the operation of a node of a TensorFlow graph, with its constant inputs by place."""
    definition = config["node_def"]
    definition = json.loads(definition) if isinstance(definition, str) else definition
    operator = definition["op"]
    if operator not in _NODES:
        raise refuse(f"layer {config['name']!r} is TensorFlow's {operator}, which is not rebuilt")
    function = FUNCTIONS[_NODES[operator]]
    constants = {int(place): value for place, value in (config.get("constants") or {}).items()}

    def call(given: Any) -> Any:
        arguments = list(given) if isinstance(given, (list, tuple)) else [given]
        for place in sorted(constants):
            arguments.insert(place, constants[place])
        return function(*arguments)

    return call


def _random_crop(config: Mapping[str, Any]) -> Function:
    """Return what the layer does at inference: it crops in the middle, and resizes."""
    size = (config["height"], config["width"])
    resizing: Function = keras.layers.Resizing(*size, crop_to_aspect_ratio=True)
    return resizing


def _thresholded_relu(config: Mapping[str, Any]) -> Function:
    theta = float(config.get("theta", 1.0))
    return lambda x: x * ops.cast(x > theta, x.dtype)


LAYERS: dict[str, Callable[[Mapping[str, Any]], Function]] = {
    "TFOpLambda": lambda config: function_of(str(config["function"])),
    "SlicingOpLambda": lambda config: function_of(str(config["function"])),
    "TensorFlowOpLayer": _node,
    "ThresholdedReLU": _thresholded_relu,
    "RandomCrop": _random_crop,
    "RandomHeight": lambda _: keras.layers.Identity(),
    "RandomWidth": lambda _: keras.layers.Identity(),
}
"""Layers that Keras 3 has not, as functions of their configuration: what they do at inference."""
