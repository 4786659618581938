"""TensorRT bundles: the manifest entry and the programs with which the engine is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.bundle import trtexec
from kexport.calibration.statistics.float16_guard import Kept
from kexport.runtime.manifest import input_spec
from kexport.runtime.optimization_profile import profile_of
from kexport.targets import Target, ToolchainRelease
from kexport.targets.toml_table import release

PROGRAM, SCRIPT = "build_engine.py", "build_engine.sh"

OLDEST_PYTHON = (3, 8)
"""The oldest Python that runs a bundle's runtime."""

_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
_TYPELESS = frozenset({"Cast", "Constant", "DequantizeLinear", "Identity", "QuantizeLinear"})


def build_entry(
    target: Target,
    model: ir.Model,
    kept: Sequence[Kept],
) -> dict[str, Any] | None:
    """Return the manifest's entry `build`; None for a target without an engine to build.

    Args:
        target: the target that the engine will run on.
        model: the finished graph.
        kept: the nodes whose values exceed float16's range.
    """
    if target.toolchain is None:
        return None
    return {
        "builder": target.engine,
        "program": SCRIPT if _too_old(target.toolchain) else PROGRAM,
        "version": target.toolchain.tensorrt,
        "float32_layers": _float32_layers(model, kept),
        "compute_capabilities": list(target.compute_capabilities),
    }


def write_programs(
    folder: Path, target: Target, entry: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]
) -> None:
    """Write build_engine.py, and build_engine.sh for targets that trtexec can build for.

    Args:
        folder: the bundle.
        target: the target that the engine will run on.
        entry: the result of `build_entry`.
        inputs: the manifest's entry `inputs`.
    """
    program = resources.files("kexport.runtime") / PROGRAM
    (folder / PROGRAM).write_bytes(program.read_bytes())
    if target.engine == "tensorrt":
        profile = profile_of([input_spec(item) for item in inputs])
        text = trtexec.script(target, entry["float32_layers"], profile)
        (folder / SCRIPT).write_text(text, encoding="utf-8")
        (folder / SCRIPT).chmod(0o755)


def _too_old(toolchain: ToolchainRelease) -> bool:
    """Tell whether the device cannot run `PROGRAM`: its Python or its TensorRT is too old.

    TensorRT's Python module identifies tensors by name from 8.5 on.
    """
    python = None if toolchain.bundle is None else toolchain.bundle.python
    old = python is not None and release(python) < OLDEST_PYTHON
    return old or toolchain.release < (8, 5)


def _float32_layers(model: ir.Model, kept: Sequence[Kept]) -> list[str]:
    """Return the nodes that a builder must not convert to float16.

    In a graph with float16 values, these are the nodes with float32 outputs; otherwise they are the
    nodes in `kept`.
    """
    nodes = list(model.graph.all_nodes())
    if not any(out.dtype == ir.DataType.FLOAT16 for node in nodes for out in node.outputs):
        return [node.node for node in kept]
    return [
        node.name or ""
        for node in nodes
        if node.op_type not in _TYPELESS and any(out.dtype in _FLOATS for out in node.outputs)
    ]
