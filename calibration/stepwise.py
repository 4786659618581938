"""Runs a graph node by node, so that what one node gave can be changed before the next reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.needs import need
from kexport.passes.edit import constant

Array = np.ndarray[Any, Any]
Parts = list[Array]
"""A tensor on all pictures, a batch at a time; a constant is one part."""
Change = Callable[[ir.Node, Sequence[Parts]], None]


class Stepwise:
    """One graph and the tensors on its way, each kept until its last reader has run.

    Every node computes by itself and unfused, so that a quantised graph gives what its integers
    stand for, whatever kernels the engine has.
    """

    def __init__(self, model: ir.Model, batches: Sequence[Array]) -> None:
        (given,) = model.graph.inputs
        self._opset = model.graph.opset_imports.get("", 0)
        self._held: dict[ir.Value, Parts] = {given: list(batches)}
        self._readers = {
            value: len(value.uses()) for node in model.graph for value in node.outputs
        } | {given: len(given.uses())}
        self._nodes = iter(model.graph)

    def until(
        self, stop: Callable[[ir.Node], bool], change: Change | None = None
    ) -> Iterator[tuple[ir.Node, Parts]]:
        """Run on; yield each node for which `stop` holds, with its output, which may be changed.

        Before such a node runs, `change` is called with it and with what it reads, and may change
        that.
        """
        for node in self._nodes:
            if change is not None and stop(node):
                change(node, [self._held.get(value, []) for value in node.inputs if value])
            made = self._run(node)
            for value, parts in zip(node.outputs, made, strict=True):
                self._held[value] = parts
            if stop(node):
                yield node, made[0]
            self._let_go(node)

    def _run(self, node: ir.Node) -> list[Parts]:
        held = {value: constant(value) for value in node.inputs if value is not None}
        fixed = {value: tensor.numpy() for value, tensor in held.items() if tensor is not None}
        moving = {value: self._held[value] for value in held if value not in fixed}
        count = max((len(parts) for parts in moving.values()), default=1)
        session = _session(node, self._opset, {**fixed, **{v: p[0] for v, p in moving.items()}})
        names = [output.name for output in node.outputs]
        made: list[Parts] = [[] for _ in names]
        for index in range(count):
            feeds = {value.name: array for value, array in fixed.items()}
            for value, parts in moving.items():
                feeds[value.name] = parts[index if len(parts) > 1 else 0]
            for output, parts in zip(session.run(names, feeds), made, strict=True):
                parts.append(output)
        return made

    def _let_go(self, node: ir.Node) -> None:
        for value in [*node.inputs, *node.outputs]:
            if value in self._readers:
                self._readers[value] -= sum(1 for v in node.inputs if v is value)
                if self._readers[value] <= 0:
                    self._held.pop(value, None)


def _session(node: ir.Node, opset: int, examples: Mapping[ir.Value, Array]) -> Any:
    """An ONNX Runtime session of one node, whose shapes are those of the arrays that it is fed."""
    ort = need("onnxruntime", extra="cpu")
    clones = {
        value: ir.Value(
            name=value.name,
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            shape=ir.Shape(array.shape),
        )
        for value, array in examples.items()
    }
    inputs = [None if value is None else clones[value] for value in node.inputs]
    single = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        node.attributes.values(),
        num_outputs=len(node.outputs),
    )
    for new, old in zip(single.outputs, node.outputs, strict=True):
        new.name, new.type = old.name, old.type
    graph = ir.Graph(
        list(clones.values()), single.outputs, nodes=[single], opset_imports={"": opset}
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = ir.to_proto(ir.Model(graph, ir_version=9))
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
