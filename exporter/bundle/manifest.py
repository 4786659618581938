"""manifest.json: what a bundle says of itself (docs/manifest.schema.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir

import kexport
from kexport.bundle import manifest as entries
from kexport.calibration.statistics.float16_guard import Guard
from kexport.graph.passes import Artifact, Step
from kexport.options.image_input import ImageInput
from kexport.outputs import Output
from kexport.parity.samples import Samples
from kexport.passes.image_input import is_folded
from kexport.runtime.engine_record import FILES as ENGINE_FILES
from kexport.source.open import Source
from kexport.targets import Target


def describe(
    source: Source,
    target: Target,
    opset: int,
    traced: Sequence[str],
    shown: Sequence[Output],
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


MANIFEST = "manifest.json"
PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnx-ir", "onnxruntime"),
    "tensorrt-rtx",
)
"""Packages whose versions the manifest records."""


def input_entry(value: ir.Value, pixels: ImageInput | None) -> dict[str, Any]:
    """One entry of `inputs`; `pixels` are how an image arrives, None for a plain tensor."""
    entry: dict[str, Any] = {"name": value.name, "dtype": _dtype(value), "shape": _shape(value)}
    if pixels is None:
        return {**entry, "layout": None, "color": None, "range": None}
    return {
        **entry,
        "layout": pixels.layout.upper(),
        "color": pixels.color,
        "range": [0, 255],
    }


def output_entry(value: ir.Value, output: Output) -> dict[str, Any]:
    """One entry of `outputs`; `of` says what the best classes are of, where an output is those."""
    entry = {
        "name": value.name,
        "dtype": _dtype(value),
        "shape": _shape(value),
        "kind": output.kind,
        "layer": output.layer,
    }
    if output.of is None:
        return entry
    return {**entry, "of": {"kind": output.of, "classes": output.classes}}


def preprocessing_entry(
    mode: str, pixels: ImageInput | None, size: tuple[int, int] | None, *, folded: bool
) -> dict[str, Any]:
    """The entry `preprocessing`."""
    return {
        "mode": mode,
        "folded": folded,
        "resize": None if pixels is None else pixels.resize,
        "crop": None if pixels is None else pixels.crop,
        "size": None if size is None else list(size),
    }


def target_entry(target: Target, opset: int) -> dict[str, Any]:
    """The entry `target`."""
    return {
        "name": target.name,
        "device": target.device,
        "precision": target.precision,
        "opset": opset,
        "toolchain": target.toolchain,
    }


def step_entries(steps: Sequence[Step], *, times: bool) -> list[dict[str, Any]]:
    """The entry `steps`; seconds only with `times`, since they differ from run to run."""
    return [
        {
            "name": step.name,
            "seconds": round(step.seconds, 4) if times else None,
            "nodes_before": step.nodes_before,
            "nodes_after": step.nodes_after,
        }
        for step in steps
    ]


def versions() -> dict[str, str]:
    """Versions of the packages that took part and are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_manifest(folder: Path, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Write manifest.json for the files that lie in `folder`, and return what it says.

    An engine has its own engine.json, since it may be built again.
    """
    unlisted = {folder / name for name in (MANIFEST, *ENGINE_FILES)}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path not in unlisted)
    files = {path.relative_to(folder).as_posix(): _file_entry(path) for path in paths}
    manifest = {**entries, "files": files}
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return manifest


def _file_entry(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def _dtype(value: ir.Value) -> str:
    return str((value.dtype or ir.DataType.FLOAT).numpy())


def _shape(value: ir.Value) -> list[int | None]:
    return [dim if isinstance(dim, int) else None for dim in value.shape or ()]
