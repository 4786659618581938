"""Engine layers: which layer runs which nodes of the graph, and in which type.

The source is the verbose log of TensorRT's builder, with `profiling_verbosity` DETAILED: a message
"Layers:" with one line per layer, in which "ONNX Layer:" names the nodes fused into it. The
engine inspector has the same information, but needs a GPU.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

KINDS = {"Conv": "convolutions", "ConvTranspose": "convolutions", "Gemm": "matrix products"}
KINDS["MatMul"] = "matrix products"
"""Operators whose type decides how fast an engine is -> what the coverage calls them."""

_TYPES = {"Float": "FP32", "Half": "FP16", "BFloat16": "BF16", "Int8": "INT8", "FP8": "FP8"}
_LINE = re.compile(r"Name: (?P<name>.*?), LayerType: (?P<kind>\w+), (?P<rest>.*)")
_TENSORS = {
    list_: re.compile(list_ + r": \[(?P<tensors>(?: \{[^}]*\},?)*)\]")
    for list_ in ("Inputs", "Constants")
}
_EXTENTS = re.compile(r"Dimensions: \[([\d,]*)\]")
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_GENERATED = "kgen"
"""The layer type of the pointwise kernels that TensorRT generates between matrix products."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an engine.

    `type` is the type in which it computes, such as "FP16", or None for a layer without inputs: the
    type that its weights and an input have in common, or without weights that of its first input.
    `nodes` are the names of its ONNX nodes.
    """

    name: str
    kind: str
    type: str | None
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many nodes of a kind have a type in the graph, and how many the engine runs in it.

    `strays` names the others with the types in which they run ("?" if no layer names the node).
    """

    kind: str
    type: str
    wanted: int
    found: int
    strays: tuple[str, ...]

    def __str__(self) -> str:
        """Format as on the command line: "94 of 94 convolutions in INT8"."""
        return f"{self.found} of {self.wanted} {self.kind} in {self.type}"


def read_layers(log: str) -> tuple[Layer, ...]:
    """Parse the layers that a builder's log lists."""
    return tuple(_layers(log))


def coverage(model: ir.Model, layers: Sequence[Layer]) -> tuple[Coverage, ...]:
    """Compare the types in the graph with those in the engine, for each kind and type."""
    running = _running(layers)
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for node in model.graph.all_nodes():
        kind = KINDS.get(node.op_type) if node.domain == "" else None
        if kind is not None and (wanted := _wanted(node)) is not None:
            name = node.name or ""
            rows.setdefault((kind, wanted), []).append((name, running.get(name, "?")))
    return tuple(
        Coverage(
            kind,
            wanted,
            len(found),
            sum(ran == wanted for _, ran in found),
            tuple(f"{name}: {ran}" for name, ran in found if ran != wanted),
        )
        for (kind, wanted), found in sorted(rows.items())
    )


def _layers(log: str) -> Iterator[Layer]:
    _, _, listed = log.partition("\nLayers:\n")
    for line in listed.splitlines():
        match = _LINE.match(line)
        if match is None:
            return
        dtype = _type(match["kind"], match["rest"])
        nodes = tuple(dict.fromkeys(_NODE.findall(match["rest"])))
        yield Layer(match["name"], match["kind"], dtype, nodes)


def _type(kind: str, rest: str) -> str | None:
    """Return the type in which a layer computes.

    A residual that is fused with a matrix product may be listed before the product's own input and
    have another type, with a Cast between them in the same layer ("CorrCastAdd"). The weights are
    the largest constant and have the product's type; biases and scales of int8 do not.
    """
    inputs, constants = (_tensors(rest, name) for name in ("Inputs", "Constants"))
    if not inputs:
        return None
    types = [dtype for _, dtype in inputs]
    if constants and kind != _GENERATED:
        _, weights = max(constants)
        if weights in types:
            return weights
    return types[0]


def _tensors(rest: str, name: str) -> list[tuple[int, str]]:
    """Return the number of elements and the type of each tensor in one of a layer's lists."""
    listed = _TENSORS[name].search(rest)
    found = [] if listed is None else listed["tensors"].split("}")
    return [
        (_size(text), _TYPES.get(dtype[1], dtype[1].upper()))
        for text in found
        if (dtype := _TYPE.search(text)) is not None
    ]


def _size(text: str) -> int:
    extents = _EXTENTS.search(text)
    return 0 if extents is None else math.prod(int(size) for size in extents[1].split(",") if size)


def _running(layers: Sequence[Layer]) -> Mapping[str, str]:
    """Return the type in which each node runs: that of its product, not of fused pointwise nodes.

    A layer that is named after the node has priority, and generated layers come last.
    """
    found: dict[str, tuple[int, str]] = {}
    for layer in layers:
        for node in layer.nodes if layer.type is not None else ():
            weight = 2 if layer.name.startswith(node) else int(layer.kind != _GENERATED)
            if node not in found or weight > found[node][0]:
                found[node] = weight, layer.type or ""
    return {node: dtype for node, (_, dtype) in found.items()}


def _wanted(node: ir.Node) -> str | None:
    """Return INT8 or FP8 if both factors are quantised, else the first one's type, if known."""
    factors = node.inputs[:2]
    decoders = [value.producer() if value is not None else None for value in factors]
    if all(decoder is not None and decoder.op_type == "DequantizeLinear" for decoder in decoders):
        quantized = decoders[1].inputs[0] if decoders[1] is not None else None
        eight = quantized is not None and quantized.dtype == ir.DataType.FLOAT8E4M3FN
        return "FP8" if eight else "INT8"
    first = factors[0]
    return None if first is None else _NAMES.get(first.dtype)


_NAMES: Mapping[ir.DataType | None, str] = {
    ir.DataType.FLOAT: "FP32",
    ir.DataType.FLOAT16: "FP16",
    ir.DataType.BFLOAT16: "BF16",
}


def counted(layers: Sequence[Layer]) -> dict[str, int]:
    """Count the engine's layers by the type in which they compute."""
    return dict(sorted(Counter(layer.type or "none" for layer in layers).items()))
