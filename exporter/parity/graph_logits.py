"""The logits of a bundle's softmaxes and sigmoids, read where its graph computes them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph import save
from kexport.graph.emit import Emitter
from kexport.runtime.manifest import MODEL, Manifest, OutputSpec
from kexport.runtime.ort_engine import OrtEngine
from kexport.runtime.session import Session

MOVES = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators after a softmax that change no number; the logits go through a copy of them."""

SOURCES = frozenset({"Softmax", "Sigmoid"})
"""Operators whose input are logits."""


def read_logits(
    bundle: Path, manifest: Manifest, names: Iterable[str], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a bundle's graph with the inputs of its softmaxes and sigmoids as further outputs.

    The graph is a copy that exists for this proof alone: the bundle's own returns probabilities,
    whose logarithms do not tell what underflowed.

    Args:
        bundle: the bundle's folder.
        manifest: its manifest.
        names: outputs of a softmax or a sigmoid, or the scores of the best classes.
        inputs: the golden inputs by name, batch first.

    Returns:
        The logits by the output's name, float32, in the shape of all probabilities.

    Raises:
        ValueError: an output has no logits (`tells_logits`).
    """
    model = ir.load(bundle / MODEL)
    found = {name: add_logits(model, name) for name in names}
    if not found:
        return {}
    model.graph.outputs.extend(found.values())
    specs = tuple(_spec(value) for value in found.values())
    with tempfile.TemporaryDirectory(prefix="kexport-") as folder:
        save.save(model, Path(folder, MODEL))
        asked = replace(manifest, outputs=specs)
        given = Session(asked, OrtEngine(Path(folder), asked)).run(dict(inputs), fill=True)
    return {
        name: given[spec.name].astype(np.float32) for name, spec in zip(found, specs, strict=True)
    }


def tells_logits(model: ir.Model, name: str) -> bool:
    """Return whether the graph computes an output by one of `SOURCES`, whose input can be read."""
    return _activation(model, name) is not None


def add_logits(model: ir.Model, name: str) -> ir.Value:
    """Add nodes that give the logits of an output, in the output's own shape; return their result.

    Raises:
        ValueError: the output has no logits (`tells_logits`).
    """
    found = _activation(model, name)
    if found is None:
        raise ValueError(f"output {name!r} is not computed by one of {sorted(SOURCES)}")
    activation, moves = found
    logits = activation.inputs[0]
    emit = Emitter.before(model.graph, activation).part("logits")
    for move in reversed(moves):
        logits = emit(move.op_type, logits, *move.inputs[1:], **_attributes(move))
    return emit("Identity", logits)


def _activation(model: ir.Model, name: str) -> tuple[ir.Node, list[ir.Node]] | None:
    """Return the softmax or sigmoid of an output, and the moves after it, the last one first."""
    value = next(output for output in model.graph.outputs if output.name == name)
    moves: list[ir.Node] = []
    node = value.producer()
    while node is not None and node.op_type in (*MOVES, "TopK"):
        moves += [node] if node.op_type in MOVES else []
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type not in SOURCES or node.inputs[0] is None:
        return None
    return node, moves


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def _spec(value: ir.Value) -> OutputSpec:
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape or ())
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    return OutputSpec(value.name or "", np.dtype(dtype).name, shape, "tensor", "", None, None)
