"""tf2onnx fallback for layers without a rule: trace, convert, and insert into the graph.

Only that one layer is traced. Its weights are inputs of the trace and become initializers named
after the layer, so TensorFlow does not freeze them into constants. Constants that the trace
captures become initializers too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir

from kexport.conversion.builder import Graph, graph_dtype
from kexport.conversion.tensor import Tensor
from kexport.conversion.tf2onnx_run import RANDOM, NotTranslated, Traced, trace, translate
from kexport.conversion.traced_call import Call, Results, prepare, resolve, run
from kexport.conversion.traced_graph import insert
from kexport.conversion.traced_shapes import complete_declared, dtype_of
from kexport.conversion.unsupported import described
from kexport.errors import KexportError, UnsupportedModel, one_line
from kexport.keras_graph import (
    computing_in_float32,
    float8_biases,
    float8_by_arithmetic,
    outside_of_pipelines,
    rounded_to_bfloat16,
    takes_training,
)
from kexport.needs import need

WITH_BODY = frozenset({"If", "Loop", "Scan"})
"""Operators that contain a graph."""

HINT = "write it with operations of keras.ops that convert (docs/ops.md), or compute it outside"
"""What to do where tracing fails for a reason of its own."""


def trace_layer(g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Convert one call of a layer, model or operation through tf2onnx, with its masks.

    The tensors of the trace carry the masks of those in the graph, and Keras does with them what
    it always does; the masks that its outputs carry are outputs of the trace too.

    Returns:
        Tensors in the structure that the layer returns, in Keras' own layout.

    Raises:
        UnsupportedModel: TensorFlow cannot trace it, tf2onnx has no ONNX for what it does, it draws
            random numbers, or it keeps a state from one call to the next.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    given = kwargs
    if takes_training(layer):
        given = {**kwargs, "training": False}  # the default of RandomFlip and others is True
    variables = layer.variables if isinstance(layer, keras.Layer) else []
    function = outside_of_pipelines(layer)
    call = prepare(g, function, args, given)
    with computing_in_float32(layer), float8_by_arithmetic():
        outputs = _splice(g, described(layer), call, variables, rounded=float8_biases(layer))
    g.traced.append(layer.name)
    complete_declared(layer, outputs, args, kwargs)
    return outputs


def trace_call(
    g: Graph, operation: Any, function: Callable[..., Any], args: tuple[Any, ...]
) -> Any:
    """Convert a call of an operation by a function of keras.ops that computes the same.

    It goes through tf2onnx, and counts as a rule: nothing of the user's is traced.
    """
    call = prepare(g, function, args, {})
    outputs = _splice(g, described(operation), call, [])
    complete_declared(operation, outputs, args, {})
    return outputs


def trace_function(g: Graph, function: Callable[[Any], Any], x: Tensor) -> Tensor:
    """Convert a function of one tensor, such as a user's own activation function."""
    name = getattr(function, "__name__", "function")
    call = prepare(g, function, (x,), {})
    result: Tensor = _splice(g, f"function {name!r}", call, [])
    g.traced.append(name)
    return result


def _splice(
    g: Graph, what: str, call: Call, variables: Sequence[Any], rounded: Sequence[Any] = ()
) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedModel(
            f"{what} has no rule, and only TensorFlow can trace it; Keras runs on "
            f"{keras.backend.backend()} here",
            hint="set KERAS_BACKEND=tensorflow before Keras is imported",
        )
    try:
        traced, proto, results, weights = _convert(g, call, variables)
        if proto is None:
            return resolve(g, call, results, [])
        sources = [g.in_keras_order(x) for x in call.tensors]
        sources += [_weight(g, variable, rounded) for variable in weights]
        sources += [g.constant(array, "constant") for array in traced.constants]
        return resolve(g, call, results, insert(g, traced, proto, sources))
    except KexportError:
        raise
    except NotTranslated as error:
        message = f"{what} has no rule, and {error}"
        raise UnsupportedModel(message, hint=error.hint) from error
    except Exception as error:
        raise UnsupportedModel(
            f"{what} has no rule, and tracing it for tf2onnx failed: {one_line(error)}", hint=HINT
        ) from error


def _weight(g: Graph, variable: Any, rounded: Sequence[Any]) -> ir.Value:
    """Add a weight of the trace; those in `rounded` are rounded to bfloat16."""
    if any(variable is one for one in rounded):
        return g.weight(variable, variable.name, rounded_to_bfloat16, form="in bfloat16")
    return g.weight(variable, variable.name)


def _convert(
    g: Graph, call: Call, variables: Sequence[Any]
) -> tuple[Traced, onnx.ModelProto | None, Results, Sequence[Any]]:
    """Trace and translate a call; there is no ONNX where it makes no tensor.

    Where the translation has a loop, the variables are constants of a second one: tf2onnx
    recognizes an LSTM or a GRU in a loop only if its weights are constant.

    Returns:
        The trace, the ONNX model, what the call returned, and the variables among the inputs of
        the trace.
    """
    traced, results = _trace(call, variables, frozen=False)
    if not traced.outputs:
        return traced, None, results, []
    proto = translate(traced)
    if any(node.op_type in WITH_BODY for node in proto.graph.node):
        traced, results = _trace(call, variables, frozen=True)
        return traced, translate(traced), results, []
    return traced, proto, results, variables


def _trace(call: Call, variables: Sequence[Any], *, frozen: bool) -> tuple[Traced, Results]:
    """Trace a call; its inputs are the tensors, and the variables if they are not `frozen`."""
    tf = need("tensorflow")
    found: list[Results] = []
    changed: list[bool] = []
    hidden: list[int] = []
    fixed = [np.asarray(variable.value) for variable in variables] if frozen else []

    def positional(*flat: Any) -> list[Any]:
        count = len(call.tensors)
        given = [tf.constant(value) for value in fixed] if frozen else list(flat[count:])
        mapping = list(zip(variables, given, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            before = dict(scope.state_mapping)
            found[:] = [run(call, flat[:count])]
            after = dict(scope.state_mapping)
            made = [tf.identity(y) for y in found[0].new]
        changed[:] = [before[id(v)] is not after[id(v)] for v in variables]
        hidden[:] = [key for key in after if key not in before]
        return made

    signature = [
        tf.TensorSpec(x.shape, tf.as_dtype(dtype_of(x.value).numpy()), name=f"x{i}")
        for i, x in enumerate(call.tensors)
    ] + [
        tf.TensorSpec(tuple(v.shape), graph_dtype(v.dtype).numpy(), name=f"w{i}")
        for i, v in enumerate([] if frozen else variables)
    ]
    traced = trace(positional, signature)
    if not frozen:
        read = [traced.reads(len(call.tensors) + i) for i in range(len(variables))]
        each = zip(variables, changed, read, strict=True)
        _refuse_state([v.path for v, new, used in each if new and used], bool(hidden))
    return traced, found[0]


def _refuse_state(changed: Sequence[str], hidden: bool) -> None:
    """Refuse a call that reads and changes variables; the paths of its weights are given."""
    if any("seed_generator" in path for path in changed):
        raise NotTranslated("it draws random numbers, and its seed changes", RANDOM)
    if changed:
        raise NotTranslated(
            f"it is stateful: it reads its variable {changed[0]!r} and changes it with each call",
            "build it with stateful=False, or make the state an input and an output of the model",
        )
    if hidden:
        raise NotTranslated(
            "it is stateful or random: with each call it changes a variable that is not among its "
            "weights",
            f"build it with stateful=False; where it draws random numbers, {RANDOM}",
        )
