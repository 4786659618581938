"""tf2onnx fallback for layers without a rule: trace, convert, and insert into the graph.

Only that one layer is traced. Its weights are inputs of the trace and become initializers named
after the layer, so TensorFlow does not freeze them into constants. Constants that the trace
captures become initializers too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.traced_call import Call, Results, prepare, resolve, run
from kexport.errors import UnsupportedModel, one_line
from kexport.keras_graph import outside_of_pipelines, takes_training
from kexport.needs import need

TRACE_OPSET = 18
"""Newest opset that tf2onnx 1.17 writes; its operators mean the same at `builder.OPSET`."""

WITH_BODY = frozenset({"If", "Loop", "Scan"})
"""Operators that contain a graph."""


@dataclass(frozen=True, slots=True)
class _Traced:
    proto: onnx.ModelProto | None
    """None where the call makes no tensor."""
    constants: list[np.ndarray[Any, Any]]
    results: Results


def trace_layer(g: Graph, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Convert one call of a layer, model or operation through tf2onnx, with its masks.

    The tensors of the trace carry the masks of those in the graph, and Keras does with them what
    it always does; the masks that its outputs carry are outputs of the trace too.

    Returns:
        Tensors in the structure that the layer returns, in Keras' own layout.

    Raises:
        UnsupportedModel: TensorFlow cannot trace it, or tf2onnx has no ONNX for what it does.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    given = kwargs
    if takes_training(layer):
        given = {**kwargs, "training": False}  # the default of RandomFlip and others is True
    variables = layer.variables if isinstance(layer, keras.Layer) else []

    def stateless(weights: Sequence[Any], *call_args: Any, **call_kwargs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return function(*call_args, **call_kwargs)

    function = outside_of_pipelines(layer)
    call = prepare(g, stateless if variables else function, args, given)
    outputs = _splice(g, layer.name, call, variables)
    return _with_keras_shapes(layer, outputs, args, kwargs)


def trace_function(g: Graph, function: Callable[[Any], Any], x: Tensor) -> Tensor:
    """Convert a function of one tensor, such as a user's own activation function."""
    name = getattr(function, "__name__", "function")
    return _splice(g, name, prepare(g, function, (x,), {}), [])  # type: ignore[no-any-return]


def _splice(g: Graph, name: str, call: Call, variables: Sequence[Any]) -> Any:
    try:
        traced = _convert(call, variables, frozen=False)
        frozen = traced.proto is not None and any(
            node.op_type in WITH_BODY for node in traced.proto.graph.node
        )
        if frozen:
            traced = _convert(call, variables, frozen=True)
    except UnsupportedModel:
        raise
    except Exception as error:
        raise UnsupportedModel(
            f"layer {name!r} has no rule, and tracing it for tf2onnx failed: {one_line(error)}",
            hint="write the layer with keras.ops or TensorFlow operations that tf2onnx knows",
        ) from error
    g.traced.append(name)
    if traced.proto is None:
        return resolve(g, call, traced.results, [])
    _refuse_unknown(name, traced.proto)
    sources = [g.in_keras_order(x) for x in call.tensors]
    if not frozen:
        sources += [g.weight(variable, variable.name) for variable in variables]
    sources += [g.constant(array, "constant") for array in traced.constants]
    return resolve(g, call, traced.results, _insert(g, traced.proto, sources))


def _convert(call: Call, variables: Sequence[Any], *, frozen: bool) -> _Traced:
    """Trace a call to ONNX; its inputs are the tensors, the variables, then captured constants.

    With `frozen` the variables are constants of the trace: tf2onnx recognizes an LSTM or a GRU in a
    loop only if its weights are constant.
    """
    tf = need("tensorflow")
    tf2onnx = need("tf2onnx")
    results: list[Results] = []
    fixed = [np.asarray(variable.value) for variable in variables] if frozen else []

    def positional(*flat: Any) -> list[Any]:
        count = len(call.tensors)
        weights = [tf.constant(v) for v in fixed] if frozen else flat[count:]
        results[:] = [run(call, flat[:count], *([list(weights)] if variables else []))]
        return [tf.identity(y) for y in results[0].new]

    signature = [
        tf.TensorSpec(x.shape, tf.as_dtype(x.value.dtype.numpy()), name=f"x{i}")
        for i, x in enumerate(call.tensors)
        if x.value.dtype is not None
    ] + [
        tf.TensorSpec(tuple(v.shape), tf.as_dtype(v.dtype), name=f"w{i}")
        for i, v in enumerate([] if frozen else variables)
    ]
    traced = tf.function(positional, autograph=False)
    with _inlined(tf):
        concrete = traced.get_concrete_function(*signature)
    if not concrete.outputs:
        return _Traced(None, [], results[0])
    names = [x.name for x in concrete.inputs]
    constants = [np.asarray(x) for x in concrete.captured_inputs]
    graph = tf2onnx.tf_loader.from_function(concrete, names, [y.name for y in concrete.outputs])
    with tf.Graph().as_default() as tf_graph:
        tf.import_graph_def(graph, name="")
        onnx_graph = tf2onnx.tfonnx.process_tf_graph(
            tf_graph,
            continue_on_error=True,
            opset=TRACE_OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
            input_names=names,
            output_names=[y.name for y in concrete.outputs],
        )
    onnx_graph = tf2onnx.optimizer.optimize_graph(onnx_graph, catch_errors=True)
    proto = onnx.shape_inference.infer_shapes(onnx_graph.make_model("traced"))
    _order(proto, names)
    return _Traced(proto, constants, results[0])


@contextmanager
def _inlined(tf: Any) -> Iterator[None]:
    """Trace nested tf.functions in place.

    Keras compiles grouped convolutions with XLA, and tf2onnx would leave such a call in the graph
    as a `StatefulPartitionedCall`.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _erfc(context: Any, node: Any, name: str, args: Any) -> None:
    """Write Erfc(x) as 1 - Erf(x) for tf2onnx, which only knows Erf."""
    del name, args
    output = node.output[0]
    shape, dtype = context.get_shape(output), context.get_dtype(output)
    one = context.make_const(f"{node.name}_one", np.array(1.0, np.float32)).output[0]
    erf = context.make_node("Erf", [node.input[0]]).output[0]
    context.remove_node(node.name)
    context.make_node(
        "Sub", [one, erf], name=node.name, outputs=[output], shapes=[shape], dtypes=[dtype]
    )


def _order(proto: onnx.ModelProto, names: Sequence[str]) -> None:
    """Put the graph's inputs in the order of `names`; tf2onnx drops those that nothing reads."""
    kept = {value.name: value for value in proto.graph.input}
    ordered = []
    for name in names:
        fallback = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        ordered.append(kept.get(name, fallback))
    del proto.graph.input[:]
    proto.graph.input.extend(ordered)


def _refuse_unknown(name: str, proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        if node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type):
            continue
        raise UnsupportedModel(
            f"layer {name!r} has no rule, and tf2onnx has no ONNX for its TensorFlow operation "
            f"{node.op_type!r} ({node.name})",
            hint="write the layer with keras.ops or TensorFlow operations that tf2onnx knows",
        )


def _insert(g: Graph, proto: onnx.ModelProto, sources: Sequence[ir.Value]) -> list[Tensor]:
    """Move the traced nodes into the graph, where they read `sources` instead of their inputs."""
    graph = ir.from_proto(proto).graph
    for value, source in zip(graph.inputs, sources, strict=True):
        value.replace_all_uses_with(source)
    for value in _constants(graph):
        if value.const_value is not None:
            value.replace_all_uses_with(g.constant(value.const_value.numpy(), "constant"))
    passed_through = dict(zip(graph.inputs, sources, strict=True))
    outputs = [passed_through.get(value, value) for value in graph.outputs]
    graph.outputs.clear()
    nodes = list(graph)
    graph.remove(nodes)
    for node in nodes:
        g.adopt(node)
    return [Tensor(value, as_keras(len(value.shape or ()))) for value in outputs]


def _constants(graph: ir.Graph) -> list[ir.Value]:
    """Return the initializers in the order in which nodes first read them.

    tf2onnx writes them in an order that changes from process to process.
    """
    constants = set(graph.initializers.values())
    read = (value for node in graph.all_nodes() for value in node.inputs if value is not None)
    return [value for value in dict.fromkeys([*read, *graph.outputs]) if value in constants]


def _with_keras_shapes(
    layer: Any, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Complete the shapes that ONNX inferred for the outputs with those that Keras knows."""
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
    symbolic_args, symbolic_kwargs = keras.tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, "float32") if isinstance(x, Tensor) else x,
        (args, kwargs),
    )
    specs = keras.tree.flatten(layer.compute_output_spec(*symbolic_args, **symbolic_kwargs))
    for output, spec in zip(keras.tree.flatten(outputs), specs, strict=True):
        if output in inputs:
            continue
        found = list(output.value.shape or [None] * len(spec.shape))
        output.value.shape = ir.Shape(
            theirs if theirs is not None else ours
            for ours, theirs in zip(found, spec.shape, strict=True)
        )
    return outputs
