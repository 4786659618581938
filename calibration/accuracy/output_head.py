"""The last layer before an output of numbers, which is left in float where that costs nothing.

Nothing after the last layer averages its noise, and no best class hides it: a vector, a price or a
coordinate carries it as it is. A Conv that gives the output itself is in float anyway, because
integer kernels have no float result.
"""

from __future__ import annotations

import math
from dataclasses import replace

import onnx_ir as ir

from kexport.calibration.accuracy.evaluator import NUMBERS
from kexport.calibration.accuracy.macs import count_macs, macs_share
from kexport.calibration.accuracy.mixed_precision import attempt_plan, float_scores
from kexport.calibration.accuracy.search import Search, Settings

LARGEST_SHARE = 0.01
"""The largest share of the multiply-adds that a last layer has: a float kernel takes up to four
times as long as one of int8, which is then 3 % of the whole."""


def leave_head_in_float(search: Search, settings: Settings) -> Search:
    """Try the last layer in float where the output has no classes; kept if there is less noise."""
    plan, evaluator = search.best.plan, settings.dataset.evaluator
    if evaluator.kind not in NUMBERS:
        return search
    head = head_of(plan.floating) & settings.scheme.place(plan.floating, plan.floats).nodes
    if not head or macs_share(plan.floating, head) > LARGEST_SHARE:
        return search
    grown = replace(plan, floats=plan.floats | head)
    if grown.int8_share(settings.scheme) < settings.int8_share:
        return search
    settings.say("leaving the last layer in float")
    candidate = attempt_plan(grown, settings, float_scores(plan, settings))
    return search.with_better("the last layer in float", candidate, settings.criterion)


def head_of(model: ir.Model) -> frozenset[str]:
    """Find the last layer with weights before the first output, and what feeds it.

    These are the nodes that make no more numbers than it reads, such as the average over all pixels
    and a Flatten. Where several layers are last, as before a sum, it is empty.
    """
    layers = _last_layers(model.graph.outputs[0])
    if len(layers) != 1:
        return frozenset()
    (layer,) = layers
    found, read = {layer.name or ""}, _elements(layer.inputs[0])
    node = _producer(layer.inputs[0])
    while node is not None and not count_macs(node) and _elements(node.outputs[0]) <= read:
        found.add(node.name or "")
        node = _producer(node.inputs[0])
    return frozenset(found)


def _last_layers(output: ir.Value) -> set[ir.Node]:
    """Find the layers with weights between which and the output there is no other one."""
    found, seen, waiting = set[ir.Node](), set[ir.Node](), [_producer(output)]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if count_macs(node):
            found.add(node)
        else:
            waiting += [_producer(value) for value in node.inputs]
    return found


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _elements(value: ir.Value | None) -> int:
    """Count the elements of a sample; open axes count as 1."""
    shape = [] if value is None or value.shape is None else list(value.shape)[1:]
    return math.prod(size for size in shape if isinstance(size, int))
