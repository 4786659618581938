"""manifest.json: what a bundle says of itself (docs/manifest.schema.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.artifact import Step
from kexport.pixels import Pixels
from kexport.ranking import Shown
from kexport.runtime.engine import FILES as ENGINE_FILES
from kexport.targets import Target

MANIFEST = "manifest.json"
PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnx-ir", "onnxruntime"),
    "tensorrt-rtx",
)
"""Packages whose versions the manifest records."""


def input_entry(value: ir.Value, pixels: Pixels | None) -> dict[str, Any]:
    """One entry of `inputs`; `pixels` are how a picture arrives, None for a plain tensor."""
    entry: dict[str, Any] = {"name": value.name, "dtype": _dtype(value), "shape": _shape(value)}
    if pixels is None:
        return {**entry, "layout": None, "color": None, "range": None}
    return {
        **entry,
        "layout": pixels.layout.upper(),
        "color": pixels.color,
        "range": [0, 255],
    }


def output_entry(value: ir.Value, output: Shown) -> dict[str, Any]:
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
    mode: str, pixels: Pixels | None, size: tuple[int, int] | None, *, folded: bool
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
