"""manifest.json: what a bundle says of itself (docs/manifest.schema.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.graph.passes import Step
from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Custom, Preprocessing
from kexport.outputs import Output
from kexport.runtime import manifest_schema
from kexport.runtime.engine_record import FILES as ENGINE_FILES
from kexport.targets import Target

MANIFEST = "manifest.json"
SCHEMA = manifest_schema.SCHEMA

PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnx-ir", "onnxruntime"),
    "tensorrt-rtx",
)
"""Packages whose versions the manifest records."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of manifest.json (docs/manifest.schema.json), in the order of the file.

    Values are as JSON has them. Devices read the file with `kexport.runtime.manifest`.
    """

    schema: int
    kexport: str
    created: str | None
    model: dict[str, Any]
    target: dict[str, Any]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    task: dict[str, Any]
    preprocessing: dict[str, Any]
    parity: dict[str, Any]
    quantization: dict[str, Any] | None
    labelled: dict[str, Any] | None
    build: dict[str, Any] | None
    engine_check: dict[str, Any] | None
    float32_nodes: list[dict[str, Any]]
    largest_value: dict[str, Any] | None
    steps: list[dict[str, Any]]
    versions: dict[str, str]
    findings: list[dict[str, Any]]
    files: dict[str, dict[str, Any]]

    def entries(self) -> dict[str, Any]:
        """Return the manifest as one JSON object."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def input_entry(
    value: ir.Value,
    pixels: ImageInput | None,
    preprocessing: dict[str, Any] | None = None,
    ends: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Return an entry of `inputs`.

    Args:
        value: the input of the graph.
        pixels: its image format, None for a plain tensor.
        preprocessing: the entry of that name, for an image that is one of several inputs.
        ends: the lowest and the highest value of a plain tensor, where that was told.
    """
    entry: dict[str, Any] = {"name": value.name, "dtype": _dtype(value), "shape": _shape(value)}
    if pixels is None:
        told = None if ends is None else list(ends)
        return {**entry, "layout": None, "color": None, "range": told}
    image = {
        **entry,
        "layout": pixels.layout.upper(),
        "color": pixels.color,
        "range": [0, 255],
    }
    if pixels.resize_outside is not None:
        image["resize"] = asdict(pixels.outside)
    return image if preprocessing is None else {**image, "preprocessing": preprocessing}


def output_entry(value: ir.Value, output: Output) -> dict[str, Any]:
    """Return an entry of `outputs`; for the best classes, `of` is the output they come from."""
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
    mode: Preprocessing,
    pixels: ImageInput | None,
    size: tuple[int, int] | None,
    *,
    folded: bool,
    layers: Sequence[str] = (),
    chosen: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the entry `preprocessing`.

    `layers` are those that preprocess inside the model; `chosen` is how labelled images chose.
    """
    custom = mode if isinstance(mode, Custom) else None
    return {
        "mode": mode if custom is None else "custom",
        **({} if custom is None else _numbers(custom)),
        "folded": folded,
        "resize": None if pixels is None else pixels.resize,
        "crop": None if pixels is None else pixels.crop,
        "size": None if size is None else list(size),
        "layers": list(layers),
        **({} if chosen is None else {"chosen": chosen}),
    }


def _numbers(custom: Custom) -> dict[str, Any]:
    entry = {name: list(getattr(custom, name)) for name in ("scale", "mean", "std")}
    return {**entry, "bgr": custom.bgr}


def target_entry(target: Target) -> dict[str, Any]:
    """Return the entry `target`."""
    return {
        "name": target.name,
        "device": target.device,
        "precision": target.precision,
        "opset": target.opset,
        "toolchain": None if target.toolchain is None else str(target.toolchain),
    }


def step_entries(steps: Sequence[Step], *, times: bool) -> list[dict[str, Any]]:
    """Return the entry `steps`; without `times` it has no seconds, which differ from run to run."""
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
    """Return the versions of those of `PACKAGES` that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the entry `files`: size and SHA-256 of every file in `folder` that is finished.

    An engine is left out: it may be built again, and has its own engine.json.
    """
    unlisted = {folder / name for name in (MANIFEST, *ENGINE_FILES)}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path not in unlisted)
    return {path.relative_to(folder).as_posix(): _file_entry(path) for path in paths}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json into `folder`."""
    text = json.dumps(manifest.entries(), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


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
