"""One call of Keras, traced by TensorFlow and translated by tf2onnx."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import onnx

from kexport.conversion.tf2onnx_handlers import HANDLERS
from kexport.graph.library_logs import collected
from kexport.needs import need

TRACE_OPSET = 18
"""Newest opset that tf2onnx 1.17 writes; its operators mean the same at `builder.OPSET`."""

UNSUPPORTED = "Tensorflow op [%s: %s] is not supported"
"""What tf2onnx logs of an operation that it leaves in the graph as it was."""

RANDOM = (
    "export the outputs before it, such as the mean of a sampling layer, or make it do nothing "
    "where training is False"
)
"""What to do about random numbers."""

LETTERS = 5
"""Letters of an Einsum up to which tf2onnx writes it in other operators.

It tries each order of the letters: with 6 of them it takes seconds, with 8 half a minute.
"""

OTHER_OPTIMIZERS = (
    *("Transpose", "Upsample", "ConstFold", "ConstDequantize", "Loop", "MergeDuplicatedNodes"),
    *("Reshape", "GlobalPool", "QDQ", "Identity", "BackToBack"),
)
"""The optimizers of tf2onnx 1.17 but for that of Einsum, in its order."""

LOGGERS = ("tf2onnx", "tensorflow")


class NotTranslated(Exception):
    """Raised with the reason, where an operation of TensorFlow does not become ONNX."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Traced:
    """A graph of TensorFlow."""

    concrete: Any
    """The tf.function with its inputs and outputs."""
    graph: Any
    """The GraphDef, with captured variables and unused operations gone."""
    inputs: list[str]
    """The names of its inputs: those of the signature, then captured constants."""
    constants: list[np.ndarray[Any, Any]]
    """The values of the captured constants."""

    @property
    def outputs(self) -> list[str]:
        """The names of its outputs."""
        return [y.name for y in self.concrete.outputs]

    def dtype(self, name: str) -> Any:
        """Return TensorFlow's type of an input."""
        return self.concrete.graph.get_tensor_by_name(name).dtype

    def reads(self, place: int) -> bool:
        """Tell whether anything reads an input."""
        name = self.inputs[place].partition(":")[0]
        return any(
            source.split(":")[0] == name for node in self.graph.node for source in node.input
        )


def trace(function: Callable[..., list[Any]], signature: Sequence[Any]) -> Traced:
    """Trace a function of tensors that returns new tensors.

    Variables of TensorFlow that it captures become constants.

    Args:
        function: takes one tensor for each entry of `signature`, and returns a list of tensors.
        signature: a tf.TensorSpec for each.

    Raises:
        NotTranslated: an output depends on random numbers.
    """
    tf = need("tensorflow")
    tf2onnx = need("tf2onnx")
    with collected(*LOGGERS), _inlined(tf):
        concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
        inputs = [x.name for x in concrete.inputs[: len(signature)]]
        constants = []
        captured = zip(concrete.inputs[len(signature) :], concrete.captured_inputs, strict=True)
        for inner, outer in captured:
            if outer.dtype != tf.resource:
                inputs.append(inner.name)
                constants.append(np.asarray(outer))
        outputs = [y.name for y in concrete.outputs]
        graph = (
            tf2onnx.tf_loader.from_function(concrete, inputs, outputs)
            if outputs
            else concrete.graph.as_graph_def()
        )
    _refuse_random(graph)
    return Traced(concrete, graph, inputs, constants)


def translate(traced: Traced) -> onnx.ModelProto:
    """Translate a traced graph to ONNX.

    Where an optimizer of tf2onnx fails, the others do without it: the graph is then copied before
    each of them, which takes minutes for a large one.

    Raises:
        NotTranslated: tf2onnx has no ONNX for an operation, or failed at it. It would leave such an
            operation in the graph, which may pass for one of ONNX.
    """
    try:
        proto = _translate(traced, copies=False)
    except NotTranslated:
        raise
    except Exception:  # noqa: BLE001 - whatever an optimizer raises
        proto = _translate(traced, copies=True)
    for node in proto.graph.node:
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
            _refuse(node.op_type, node.name)
    _order(proto, traced.inputs)
    return proto


def _translate(traced: Traced, *, copies: bool) -> onnx.ModelProto:
    tf = need("tensorflow")
    tf2onnx = need("tf2onnx")
    with collected(*LOGGERS) as records, tf.Graph().as_default() as tf_graph:
        tf.import_graph_def(traced.graph, name="")
        onnx_graph = tf2onnx.tfonnx.process_tf_graph(
            tf_graph,
            continue_on_error=True,
            opset=TRACE_OPSET,
            custom_op_handlers={name: (handler, []) for name, handler in HANDLERS.items()},
            input_names=traced.inputs,
            output_names=traced.outputs,
        )
        _refuse_failures(records, traced.graph)
        optimizers = _optimizers(tf2onnx, onnx_graph)
        onnx_graph = tf2onnx.optimizer.optimize_graph(onnx_graph, copies, optimizers)
        proto: onnx.ModelProto = onnx_graph.make_model("traced")
    return proto


def _refuse_random(graph: Any) -> None:
    for node in graph.node:
        if "Random" in node.op or node.op in ("Multinomial", "ParameterizedTruncatedNormal"):
            raise NotTranslated(f"it draws random numbers ({node.op!r})", RANDOM)


def _refuse_failures(records: Sequence[logging.LogRecord], graph: Any) -> None:
    """Refuse what tf2onnx logged as unsupported or failed."""
    kinds = {node.name: node.op for node in graph.node}
    for record in records:
        if record.msg == UNSUPPORTED and isinstance(record.args, tuple):
            _refuse(str(record.args[1]), str(record.args[0]))
        if record.name == "tf2onnx.tfonnx" and record.exc_info and isinstance(record.args, tuple):
            name = str(record.args[0])
            cause = record.exc_info[1]
            raise NotTranslated(
                f"tf2onnx failed at its TensorFlow operation {kinds.get(name, '')!r} ({name}): "
                f"{cause}",
                "give its input a fixed height, width and length, or write it with other "
                "operations of keras.ops",
            ) from cause


def _refuse(kind: str, name: str) -> NoReturn:
    raise NotTranslated(
        f"tf2onnx has no ONNX for its TensorFlow operation {kind!r} ({name})",
        "write it with other operations, or compute it outside of the model",
    )


def _optimizers(tf2onnx: Any, graph: Any) -> dict[str, type]:
    """Return the optimizers, without that of Einsum where it takes too long."""
    equations = [str(x.get_attr_value("equation")) for x in graph.get_nodes() if x.type == "Einsum"]
    few = all(len({c for c in equation if c.isalpha()}) <= LETTERS for equation in equations)
    names = (*OTHER_OPTIMIZERS, *(("Einsum",) if few else ()))
    found = {name: getattr(tf2onnx.optimizer, f"{name}Optimizer") for name in names}
    return found | {"Transpose": _leaving_transposes(found["Transpose"])}


def _leaving_transposes(optimizer: type) -> type:
    """Return tf2onnx's optimizer of Transposes without its last step.

    It writes those that move no data as Reshapes to the shape recorded for their input, which is
    that before the optimizer moved another Transpose across the node there: [N, 1, 1, C] became
    [N, 1, C, 1] after the square of a convolution of one pixel.
    """
    return type("Transposes", (optimizer,), {"post_optimize_action": lambda self: None})


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


def _order(proto: onnx.ModelProto, names: Sequence[str]) -> None:
    """Put the graph's inputs in the order of `names`; tf2onnx drops those that nothing reads."""
    kept = {value.name: value for value in proto.graph.input}
    ordered = []
    for name in names:
        fallback = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        ordered.append(kept.get(name, fallback))
    del proto.graph.input[:]
    proto.graph.input.extend(ordered)
