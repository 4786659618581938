"""What a TensorRT bundle carries so that its engine can be built."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import onnx_ir as ir

from kexport.bundle import trtexec
from kexport.calibration.statistics.float16_guard import Kept
from kexport.errors import BadArgument
from kexport.runtime.manifest import InputSpec
from kexport.runtime.optimization_profile import profile_of
from kexport.targets import Target, Toolchain
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
    compute_capabilities: Sequence[str] = (),
) -> dict[str, Any] | None:
    """The manifest's entry `build`; None where nothing is built.

    Args:
        target: where the engine will run.
        model: the finished graph.
        kept: the nodes that float16 cannot hold, as they were found.
        compute_capabilities: those asked for, in the place of the target's own.
    """
    if target.chosen is None:
        return None
    return {
        "builder": target.engine,
        "program": SCRIPT if _too_old(target.chosen) else PROGRAM,
        "version": target.chosen.tensorrt,
        "float32_layers": _float32_layers(model, kept),
        "compute_capabilities": list(compute_capabilities or target.compute_capabilities),
    }


def check_capabilities(target: Target, asked: Sequence[str]) -> None:
    """Raise BadArgument for compute capabilities that the target has no use for, or that are none.

    Which of them TensorRT-RTX builds for, it says itself.
    """
    if asked and not target.compute_capabilities:
        raise BadArgument(
            f"the engine for {target.device} is built on the device, for the GPU that is there",
            hint="leave out `toolchain.compute_capabilities`, or choose an rtx target",
        )
    for name in asked:
        if not re.fullmatch(r"\d+\.\d", name):
            raise BadArgument(
                f"'{name}' is no compute capability",
                hint=f"say some of {', '.join(target.compute_capabilities)}",
            )


def write_programs(
    folder: Path, target: Target, entry: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]
) -> None:
    """Write build_engine.py, and build_engine.sh where trtexec builds for the target.

    Args:
        folder: the bundle.
        target: where the engine will run.
        entry: what `build_entry` gave.
        inputs: the manifest's entry `inputs`.
    """
    program = resources.files("kexport.runtime") / PROGRAM
    (folder / PROGRAM).write_bytes(program.read_bytes())
    if target.engine == "tensorrt":
        profile = profile_of([_spec(item) for item in inputs])
        text = trtexec.script(target, entry["float32_layers"], profile)
        (folder / SCRIPT).write_text(text, encoding="utf-8")
        (folder / SCRIPT).chmod(0o755)


def _too_old(toolchain: Toolchain) -> bool:
    """Whether the device cannot run `PROGRAM`: its Python is too old, or its TensorRT's is.

    Tensors have names in TensorRT's Python module from 8.5 on.
    """
    python = None if toolchain.bundle is None else toolchain.bundle.python
    old = python is not None and release(python) < OLDEST_PYTHON
    return old or toolchain.release < (8, 5)


def _float32_layers(model: ir.Model, kept: Sequence[Kept]) -> list[str]:
    """The nodes that a builder must not turn into float16.

    A graph with float16 in it says so by the types of what its nodes give; another does not.
    """
    nodes = list(model.graph.all_nodes())
    if not any(out.dtype == ir.DataType.FLOAT16 for node in nodes for out in node.outputs):
        return [node.node for node in kept]
    return [
        node.name or ""
        for node in nodes
        if node.op_type not in _TYPELESS and any(out.dtype in _FLOATS for out in node.outputs)
    ]


def _spec(item: Mapping[str, Any]) -> InputSpec:
    return InputSpec(
        item["name"], item["dtype"], tuple(item["shape"]), item["layout"], item["color"], None
    )
