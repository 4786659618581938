"""Writes the files of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.arrays import Array
from kexport.bundle.onnx_metadata import with_metadata
from kexport.graph import save
from kexport.runtime import npz

PROGRAMS = ("run.py", "build_engine.py")
"""Files of the runtime that go to the root of a bundle, not into its folder runtime/."""

LABELS, GOLDEN, MODEL = "labels.txt", "golden.npz", "model.onnx"

LICENSE = "LICENSE"
"""The licence of both runtimes. What the model may be used for, its author says."""


def write_files(
    folder: Path,
    model: ir.Model,
    entries: Mapping[str, Any],
    golden: Mapping[str, Array],
    labels: Sequence[str] | None,
) -> None:
    """Write model, labels, golden arrays and both runtimes into an empty folder.

    Args:
        folder: an existing, empty folder.
        model: the finished graph.
        entries: the manifest so far, for the model's metadata.
        golden: inputs by name, Keras' outputs by name, float32, and for int8 the outputs of the
            unfused graph under names that begin with `runtime.manifest.GRAPH`.
        labels: one for each class, in the order of the classifier's outputs.
    """
    save.save(with_metadata(model, entries, labels), folder / MODEL)
    npz.write(folder / GOLDEN, golden)
    if labels is not None:
        (folder / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    runtime = resources.files("kexport.runtime")
    _copy_sources(runtime, folder / "runtime", (".py",))
    _copy_sources(runtime / "cpp", folder / "cpp", (".hpp", ".cpp", ".txt", ".md"))
    for copied in ("runtime", "cpp"):
        (folder / copied / LICENSE).write_bytes((runtime / LICENSE).read_bytes())
    program = runtime / "run.py"
    (folder / "run.py").write_bytes(program.read_bytes())
    for name in PROGRAMS:
        (folder / "runtime" / name).unlink()


def _copy_sources(source: Traversable, destination: Path, kinds: tuple[str, ...]) -> None:
    """Copy the files with these suffixes, and the folders that have some."""
    destination.mkdir()
    for entry in source.iterdir():
        if entry.name.endswith(kinds):
            (destination / entry.name).write_bytes(entry.read_bytes())
        elif entry.is_dir() and any(inner.name.endswith(kinds) for inner in entry.iterdir()):
            _copy_sources(entry, destination / entry.name, kinds)
