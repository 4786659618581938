"""HardSigmoid and HardSwish written out, as in MobileNetV3."""

from __future__ import annotations

import math

import onnx_ir as ir

from kexport.graph.edit import attribute, producer, remove, replace_node, small
from kexport.graph.passes import Pass


@Pass
def fuse_hard_swish(model: ir.Model) -> None:
    """Replace the written-out formulas of HardSigmoid and HardSwish by one node.

    1. Clip(x + 3, 0, 6) / 6 ==> HardSigmoid(x) with alpha = 1/6 and beta = 1/2
    2. x * HardSigmoid(x) with these numbers ==> HardSwish(x)

    Applies to the formulas of MobileNetV3 (Howard et al., 2019, section 5.2), which Keras writes
    out. Engines compute each in one kernel. Exact up to rounding.
    """
    for node in list(model.graph):
        if node.op_type in ("Mul", "Div"):
            _hard_sigmoid(model.graph, node)
    for node in list(model.graph):
        if node.op_type == "Mul":
            _hard_swish(model.graph, node)


def _hard_sigmoid(graph: ir.Graph, node: ir.Node) -> None:
    factor = _number(node, 1)
    if node.op_type == "Div" and factor:
        factor = 1 / factor
    clip = producer(node.inputs[0], "Clip")
    if clip is None or len(clip.inputs) < 3 or factor is None:
        return
    low, high = _number(clip, 1), _number(clip, 2)
    add = producer(clip.inputs[0], "Add")
    shift = None if add is None else _number(add, 1)
    x = None if add is None else add.inputs[0]
    if add is None or x is None or (low, high, shift) != (0, 6, 3):
        return
    if math.isclose(factor, 1 / 6, rel_tol=1e-6):
        _replace(graph, node, ir.node("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5}))
        remove(graph, clip)
        remove(graph, add)


def _hard_swish(graph: ir.Graph, node: ir.Node) -> None:
    for gate, x in (node.inputs[:2], node.inputs[1::-1]):
        maker = producer(gate, "HardSigmoid")
        if maker is None or x is None or maker.inputs[0] is not x:
            continue
        if not math.isclose(attribute(maker, "alpha", 0.2), 1 / 6, rel_tol=1e-6):
            continue
        if attribute(maker, "beta", 0.5) == 0.5:
            _replace(graph, node, ir.node("HardSwish", [x]))
            remove(graph, maker)
        return


def _number(node: ir.Node, index: int) -> float | None:
    values = small(node.inputs[index])
    return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None


def _replace(graph: ir.Graph, old: ir.Node, new: ir.Node) -> None:
    new.name = f"{old.name}.{new.op_type}"
    replace_node(graph, old, new, f"{old.outputs[0].name}.{new.op_type}")
