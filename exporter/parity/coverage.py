"""Coverage: which branches of a graph its samples reach.

A fault in a branch that no sample reaches stays unseen, however small the error that is measured on
the samples. A branch is one side of an operator that is defined piece by piece (ReLU6 below 0 and
above 6), one value of a condition or a mask, or an end of a table of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import open_session
from kexport.calibration.statistics.collector import add_output
from kexport.graph.edit import attribute, constant, small
from kexport.parity.samples import Samples

AT_ONCE = 2
"""Samples at a time where the batch is open; it bounds the memory of large models."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """A branch that no sample reaches.

    `layer` is the Keras layer, with its path inside inner models; `branch` says in words what its
    `operator` never met, such as "above 6".
    """

    layer: str
    operator: str
    branch: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many branches of a graph its samples reach, and which they do not."""

    reached: int
    total: int
    unreached: tuple[Unreached, ...]
    left_out: tuple[str, ...] = ()
    """Samples that were left out, since Keras gives no usable numbers for them, and why."""

    def entry(self) -> dict[str, Any]:
        """Return the entry `parity.coverage` of the manifest."""
        return {
            "reached": self.reached,
            "total": self.total,
            "unreached": [asdict(one) for one in self.unreached],
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class _Branch:
    """One side of an operator, reached if `reached(low, high)` of the values of a tensor holds."""

    node: ir.Node | None
    tensor: ir.Value
    name: str
    reached: Callable[[float, float], bool]


def of_samples(model: ir.Model, samples: Samples) -> Coverage:
    """Measure the coverage of a float32 model of any batch by its samples."""
    batch = model.graph.inputs[0].shape[0] if model.graph.inputs[0].shape else None
    feeds = samples.batches(batch if isinstance(batch, int) else AT_ONCE)
    return measure(model, feeds, samples.left_out)


def measure(
    model: ir.Model, feeds: Iterable[Mapping[str, Array]], left_out: Sequence[str] = ()
) -> Coverage:
    """Run a graph, and compare the extremes of its tensors with the branches that read them.

    The graph itself computes the extremes, so that the memory is that of an ordinary run; the runs
    end when every branch was reached. Branches inside the bodies of loops and conditions are not
    counted.

    Args:
        model: a float32 model.
        feeds: the inputs of each run: an array by input name.
        left_out: what to report as left out.
    """
    branches = list(_branches(model.graph))
    left = branches
    for extremes in _extremes(model, {one.tensor.name or "" for one in branches}, feeds):
        left = [one for one in left if not one.reached(*extremes[one.tensor.name or ""])]
        if not left:
            break
    unreached = tuple(Unreached(*_names(branch), branch.name) for branch in left)
    return Coverage(len(branches) - len(left), len(branches), unreached, tuple(left_out))


def _branches(graph: ir.Graph) -> Iterator[_Branch]:
    moving = _moving(graph)
    for value in graph.inputs:
        if value.dtype == ir.DataType.BOOL:
            yield from _conditions(None, value)
    for node in graph:
        if not moving.intersection(node.outputs):
            continue
        for tensor, name, reached in _SIDES.get(node.op_type, _no_sides)(node):
            if tensor in moving and tensor.name:
                yield _Branch(node, tensor, name, reached)
        if node.op_type not in _ARRANGES:
            for value in node.outputs:
                if value.dtype == ir.DataType.BOOL and value.name:
                    yield from _conditions(node, value)


def _conditions(node: ir.Node | None, value: ir.Value) -> Iterator[_Branch]:
    yield _Branch(node, value, "true", lambda _, high: high > 0)
    yield _Branch(node, value, "false", lambda low, _: low == 0)


_ARRANGES = frozenset(
    {
        *("Not", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"),
        *("Tile", "Slice", "Split", "Concat", "Loop", "Scan", "If"),
    }
)
"""Operators whose booleans are those of their input, or come from a body that is not seen."""

Side = tuple[ir.Value, str, Callable[[float, float], bool]]


def _at_zero(node: ir.Node) -> Iterator[Side]:
    yield from _around(node.inputs[0], 0.0, 0.0)


def _around(value: ir.Value | None, low: float | None, high: float | None) -> Iterator[Side]:
    """Yield the sides below `low` and above `high`, where these are given."""
    if value is not None and low is not None:
        yield value, f"below {low:.6g}", lambda least, _: least < low
    if value is not None and high is not None:
        yield value, f"above {high:.6g}", lambda _, most: most > high


def _clip(node: ir.Node) -> Iterator[Side]:
    ends = [_number(node.inputs[at]) if at < len(node.inputs) else None for at in (1, 2)]
    yield from _around(node.inputs[0], *ends)


def _of_two(node: ir.Node) -> Iterator[Side]:
    """Yield the sides of Min and Max of a tensor and a number."""
    for value, other in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        if constant(value) is None and (number := _number(other)) is not None:
            yield from _around(value, number, number)


def _hard_sigmoid(node: ir.Node) -> Iterator[Side]:
    alpha, beta = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
    yield from _around(node.inputs[0], -beta / alpha, (1 - beta) / alpha)


def _hard_swish(node: ir.Node) -> Iterator[Side]:
    yield from _around(node.inputs[0], -3.0, 3.0)


def _thresholded(node: ir.Node) -> Iterator[Side]:
    alpha = attribute(node, "alpha", 1.0)
    yield from _around(node.inputs[0], alpha, alpha)


def _gather(node: ir.Node) -> Iterator[Side]:
    """Yield the ends of a table that is looked up by computed indices."""
    table, indices = constant(node.inputs[0]), node.inputs[1]
    if table is None or indices is None:
        return
    last = int(table.shape[attribute(node, "axis", 0)]) - 1
    yield indices, "id 0", lambda least, _: least <= 0
    if last:
        yield indices, f"id {last}", lambda _, most: most >= last


def _no_sides(node: ir.Node) -> Iterator[Side]:
    del node
    return iter(())


_SIDES: dict[str, Callable[[ir.Node], Iterator[Side]]] = {
    **dict.fromkeys(("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Abs", "Sign"), _at_zero),
    "ThresholdedRelu": _thresholded,
    "Clip": _clip,
    **dict.fromkeys(("Min", "Max"), _of_two),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Gather": _gather,
}
"""Operators that are defined piece by piece, and what divides the pieces."""


def _number(value: ir.Value | None) -> float | None:
    """Return the number that a constant holds; None for infinities and anything else."""
    array = small(value)
    if array is None or array.size != 1 or not np.isfinite(array).all():
        return None
    number = float(array.reshape(()))
    return None if abs(number) >= float(np.finfo(np.float32).max) else number


def _moving(graph: ir.Graph) -> set[ir.Value]:
    """Find the values that depend on the values of the inputs, and not on their shapes alone."""
    found = set(graph.inputs)
    for node in graph:
        if node.op_type not in ("Shape", "Size") and found.intersection(_read(node)):
            found.update(node.outputs)
    return found


def _read(node: ir.Node) -> set[ir.Value]:
    return {value for value in node.inputs if value is not None}


def _extremes(
    model: ir.Model, names: Collection[str], feeds: Iterable[Mapping[str, Array]]
) -> Iterator[dict[str, tuple[float, float]]]:
    """Yield the smallest and the largest value of each tensor, run by run."""
    if not names:
        return
    probed = model.clone()
    graph = probed.graph
    made = [value for node in graph for value in node.outputs]
    for value in (*graph.inputs, *made):
        if value.name in names:
            _add_extremes(graph, value)
    session = open_session(probed)
    outputs = [f"{name}.{end}" for end in ("least", "most") for name in names]
    for feed in feeds:
        ends = np.array(session.run(outputs, dict(feed))).reshape(2, -1).T.tolist()
        yield dict(zip(names, map(tuple, ends), strict=True))


def _add_extremes(graph: ir.Graph, value: ir.Value) -> None:
    for end, operator in (("least", "ReduceMin"), ("most", "ReduceMax")):
        name = f"{value.name}.{end}"
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT}, name=f"{name}.float")
        reduce = ir.node(operator, [cast.outputs[0]], {"keepdims": 0}, name=f"{name}.reduce")
        add_output(graph, value, [cast, reduce], name, ir.Shape([]))


def _names(branch: _Branch) -> tuple[str, str]:
    """Return the Keras layer and the operator of a branch; an input has its own name."""
    if branch.node is None:
        return branch.tensor.name or "", "Input"
    name = branch.node.name or ""
    return name.rpartition("/")[0] or name, branch.node.op_type
