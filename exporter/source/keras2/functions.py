"""TensorFlow functions and layers of Keras 2 models, as operations of Keras 3.

Keras 2 records a call of TensorFlow on a symbolic tensor as a layer `TFOpLambda` with the
function's name and its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from kexport.source.keras2.refusal import refuse

Function = Callable[..., Any]

_IGNORED = {"name", "conjugate", "validate_indices"}
"""Arguments of TensorFlow functions that change no real number."""


def _reduction(function: Function) -> Function:
    return lambda input_tensor, axis=None, keepdims=False: function(
        input_tensor, axis=axis, keepdims=keepdims
    )


def _of_two(function: Function) -> Function:
    return lambda x, y: function(x, y)


def _swapped(function: Function) -> Function:
    """Return a function of two arguments in reversed order, as Python's `__rsub__`."""
    return lambda x, y: function(y, x)


def _resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    if preserve_aspect_ratio or method not in ("bilinear", "nearest", "bicubic", "lanczos3"):
        raise refuse(f"tf.image.resize has method={method!r}, {preserve_aspect_ratio=}")
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias)


def _cast(x: Any, dtype: Any) -> Any:
    return ops.cast(x, dtype if isinstance(dtype, str) else str(dtype))


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
    left = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(left, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    power = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(power, epsilon))


def _clip(t: Any, clip_value_min: float, clip_value_max: float) -> Any:
    return ops.clip(t, clip_value_min, clip_value_max)


def _squeeze(input: Any, axis: Any = None) -> Any:
    return ops.squeeze(input, axis=tuple(axis) if isinstance(axis, list) else axis)


_ELEMENTWISE: dict[str, Function] = {
    "abs": ops.abs,
    "ceil": ops.ceil,
    "cos": ops.cos,
    "erf": ops.erf,
    "exp": ops.exp,
    "floor": ops.floor,
    "log": ops.log,
    "log1p": ops.log1p,
    "negative": ops.negative,
    "reciprocal": ops.reciprocal,
    "round": ops.round,
    "rsqrt": ops.rsqrt,
    "sigmoid": ops.sigmoid,
    "sign": ops.sign,
    "sin": ops.sin,
    "softplus": ops.softplus,
    "sqrt": ops.sqrt,
    "square": ops.square,
    "tanh": ops.tanh,
}
_BINARY: dict[str, Function] = {
    "add": ops.add,
    "divide": ops.divide,
    "floordiv": ops.floor_divide,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "multiply": ops.multiply,
    "pow": ops.power,
    "subtract": ops.subtract,
    "truediv": ops.divide,
}
_REDUCTIONS: dict[str, Function] = {
    "all": ops.all,
    "any": ops.any,
    "max": ops.max,
    "mean": ops.mean,
    "min": ops.min,
    "prod": ops.prod,
    "sum": ops.sum,
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
    "cast": _cast,
    "clip_by_value": _clip,
    "concat": lambda values, axis: ops.concatenate(values, axis=axis),
    "expand_dims": lambda input, axis: ops.expand_dims(input, axis),
    "identity": lambda input: ops.add(input, 0),
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
    "stack": lambda values, axis=0: ops.stack(values, axis=axis),
    "stop_gradient": ops.stop_gradient,
    "tile": lambda input, multiples: ops.tile(input, multiples),
    "transpose": _transpose,
    "compat.v1.transpose": _transpose,
}
_ACTIVATIONS: dict[str, Function] = {
    "bias_add": lambda value, bias: ops.add(value, bias),
    "elu": ops.elu,
    "gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, negative_slope=alpha),
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
    **{f"{module}{name}": each for module in ("", "math.") for name, each in _ELEMENTWISE.items()},
    **{
        f"{module}{name}": _of_two(each)
        for module in ("", "math.")
        for name, each in _BINARY.items()
    },
    **{f"math.reduce_{name}": _reduction(each) for name, each in _REDUCTIONS.items()},
    **{f"reduce_{name}": _reduction(each) for name, each in _REDUCTIONS.items()},
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
    "Rsqrt": "rsqrt",
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


def _thresholded_relu(config: Mapping[str, Any]) -> Function:
    theta = float(config.get("theta", 1.0))
    return lambda x: x * ops.cast(x > theta, x.dtype)


LAYERS: dict[str, Callable[[Mapping[str, Any]], Function]] = {
    "TFOpLambda": lambda config: function_of(str(config["function"])),
    "SlicingOpLambda": lambda config: function_of(str(config["function"])),
    "TensorFlowOpLayer": _node,
    "ThresholdedReLU": _thresholded_relu,
    "RandomHeight": lambda _: keras.layers.Identity(),
    "RandomWidth": lambda _: keras.layers.Identity(),
}
"""Layers that Keras 3 has not, as functions of their configuration: what they do at inference."""
