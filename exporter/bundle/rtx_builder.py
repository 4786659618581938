"""TensorRT-RTX builder: builds a bundle's engine with NVIDIA's own parser and builder, without GPU.

For rtx targets, the engine is part of the bundle. For other TensorRT targets, the build shows that
NVIDIA's parser reads the graph, and in which types its nodes run.
"""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from kexport.bundle.build_process import run_build_engine
from kexport.bundle.engine_layers import Coverage, counted, coverage, read_layers
from kexport.errors import GraphRefused
from kexport.targets import Target

MODULE, PACKAGE = "tensorrt_rtx", "tensorrt-rtx"
SECONDS = 600
"""Time limit of a build; the largest Keras Application takes 10 s."""

State = Literal["built", "refused", "not done"]


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """The result of a build: `bytes` is the engine's size, `message` why there is no engine.

    `state` is "refused" if the builder refused the graph, "not done" if it crashed or was stopped.
    """

    builder: str
    state: State
    message: str
    bytes: int
    layers: int
    layer_types: dict[str, int]
    coverage: tuple[Coverage, ...]

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entry `engine_check`."""
        rows = [
            {**asdict(row), "strays": list(row.strays), "said": str(row)} for row in self.coverage
        ]
        return {**asdict(self), "coverage": rows}


def is_installed() -> bool:
    """Whether TensorRT-RTX is installed."""
    return importlib.util.find_spec(MODULE) is not None


def version() -> str:
    """Return name and release of the installed TensorRT-RTX."""
    return f"TensorRT-RTX {metadata.version(PACKAGE)}"


def build_rtx_engine(
    bundle: Path,
    model: ir.Model,
    *,
    output: Path | None = None,
    seconds: float = SECONDS,
) -> EngineCheck:
    """Build an engine for a bundle with TensorRT-RTX, through the bundle's own build_engine.py.

    Args:
        bundle: the folder, with its manifest.
        model: its graph, for the types in which its nodes run.
        output: folder for engine.plan; by default the engine is discarded.
        seconds: time limit of the build.
    """
    builder = version()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "builder.log")
        options = ["--module", MODULE, "--log", str(log), "--output", str(output or scratch)]
        done = run_build_engine(bundle, options, seconds=seconds)
        if done.report is None:
            state: State = "not done" if done.status is None else "refused"
            return EngineCheck(builder, state, done.reason, 0, 0, {}, ())
        layers = read_layers(log.read_text(encoding="utf-8"))
        return EngineCheck(
            builder,
            "built",
            "",
            int(done.report["bytes"]),
            len(layers),
            counted(layers),
            coverage(model, layers),
        )


def check_engine(work: Path, model: ir.Model, target: Target, name: str) -> dict[str, Any]:
    """Build a bundle's engine, and keep it if the target's engine is built ahead of time.

    Returns the manifest's entry `engine_check`. Raises GraphRefused as `require_engine`; `name` is
    the model's name.
    """
    check = build_rtx_engine(work, model, output=work if target.engine == MODULE else None)
    require_engine(check, name, target)
    return check.entry()


def require_engine(check: EngineCheck, name: str, target: Target) -> None:
    """Require an engine for targets whose engine is built ahead of time.

    Raises:
        GraphRefused: the target's engine is built ahead of time, but was not built.
    """
    if check.state == "built" or target.engine != MODULE:
        return
    raise GraphRefused(
        f"{check.builder} built no engine for {name}: {check.message}",
        hint="choose another precision or `toolchain.compute_capabilities`; nothing was published",
    )
