"""What a bundle's manifest says of the model, the target and the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import onnx_ir as ir

import kexport
from kexport.artifact import Artifact
from kexport.calibration.float16 import Guard
from kexport.conversion import Converted
from kexport.emit import manifest as entries
from kexport.passes.image_input import is_folded
from kexport.ranking import Shown
from kexport.samples import Samples
from kexport.source import Source
from kexport.targets import Target


def outputs_of(converted: Converted) -> tuple[Shown, ...]:
    """The outputs of a converted model."""
    values = converted.model.graph.outputs
    return tuple(
        Shown(output.name, output.kind, output.layer, _classes(value))
        for output, value in zip(converted.outputs, values, strict=True)
    )


def _classes(value: ir.Value) -> int | None:
    shape = list(value.shape or ())
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None


def describe(
    source: Source,
    target: Target,
    opset: int,
    traced: Sequence[str],
    shown: Sequence[Shown],
    artifact: Artifact,
    guard: Guard,
    inputs: Samples,
) -> dict[str, Any]:
    """The manifest's entries, in its order, but for files and what `export` fills in."""
    graph = artifact.model.graph
    return {
        "schema": 1,
        "kexport": kexport.__version__,
        "created": None,
        "model": {
            "name": source.name,
            "source": source.source,
            "sha256": source.sha256,
            "weights": source.weights,
            "traced": list(traced),
        },
        "target": entries.target_entry(target, opset),
        "inputs": [entries.input_entry(value, inputs.pixels) for value in graph.inputs],
        "outputs": [
            entries.output_entry(value, output)
            for value, output in zip(graph.outputs, shown, strict=True)
        ],
        "preprocessing": entries.preprocessing_entry(
            source.mode, inputs.pixels, inputs.size, folded=is_folded(graph.inputs[0])
        ),
        "parity": None,
        "quantization": None,
        "build": None,
        "engine_check": None,
        "float32_nodes": [asdict(node) for node in guard.kept],
        "largest_value": None if guard.largest is None else asdict(guard.largest),
        "steps": [],
        "versions": entries.versions(),
    }
