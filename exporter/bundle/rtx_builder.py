"""NVIDIA's own parser and builder, run on a bundle in a process of its own.

TensorRT-RTX needs no GPU to build. A process of its own, because a library that crashes on a graph
must not take the export with it, and because one that hangs must be stopped.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from kexport.bundle.engine_layers import Coverage, counted, coverage, read_layers
from kexport.errors import GraphRefused
from kexport.targets import Target

MODULE, PACKAGE = "tensorrt_rtx", "tensorrt-rtx"
SECONDS = 600
"""How long one build may take; the largest Keras Application takes 10 s."""

State = Literal["built", "refused", "not done"]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a build: `message` says why where there is no engine, `bytes` is its size.

    "refused" is the builder's verdict on the graph; "not done": it crashed, or was stopped.
    """

    builder: str
    state: State
    message: str
    bytes: int
    layers: int
    layer_types: dict[str, int]
    coverage: tuple[Coverage, ...]

    def entry(self) -> dict[str, Any]:
        """The manifest's entry `engine_check`."""
        rows = [
            {**asdict(row), "strays": list(row.strays), "said": str(row)} for row in self.coverage
        ]
        return {**asdict(self), "coverage": rows}


def available() -> bool:
    """Whether TensorRT-RTX is installed."""
    return importlib.util.find_spec(MODULE) is not None


def version() -> str:
    """The release of TensorRT-RTX that is installed, with its name."""
    return f"TensorRT-RTX {metadata.version(PACKAGE)}"


def build(
    bundle: Path,
    model: ir.Model,
    *,
    output: Path | None = None,
    seconds: float = SECONDS,
) -> Report:
    """Build an engine for a bundle with TensorRT-RTX, through the bundle's own build_engine.py.

    Args:
        bundle: the folder, with its manifest.
        model: its graph, to say what of it runs in which type.
        output: where engine.plan goes; nowhere by default.
        seconds: how long it may take.
    """
    builder = version()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "builder.log")
        command = [sys.executable, "-B", str(bundle / "build_engine.py"), "--json"]
        command += ["--module", MODULE, "--log", str(log), "--output", str(output or scratch)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return _failed(builder, "not done", f"it took longer than {seconds:g} s")
        if done.returncode < 0:
            return _failed(builder, "not done", f"it ended with signal {-done.returncode}")
        if done.returncode:
            return _failed(builder, "refused", _reason(done.stderr))
        layers = read_layers(log.read_text(encoding="utf-8"))
        size = int(json.loads(done.stdout)["bytes"])
        return Report(
            builder,
            "built",
            "",
            size,
            len(layers),
            counted(layers),
            coverage(model, layers),
        )


def checked(work: Path, model: ir.Model, target: Target, name: str) -> dict[str, Any]:
    """Build a bundle's engine, to be kept where the target's is built ahead of time.

    Returns the manifest's entry `engine_check`. Raises GraphRefused as `require`; `name` is the
    model's.
    """
    report = build(work, model, output=work if target.engine == MODULE else None)
    require(report, name, target)
    return report.entry()


def require(report: Report, name: str, target: Target) -> None:
    """Let through what a target can live with: an engine built on the device needs none here.

    Raises:
        GraphRefused: the target's engine is built ahead of time, and was not built.
    """
    if report.state == "built" or target.engine != MODULE:
        return
    raise GraphRefused(
        f"{report.builder} built no engine for {name}: {report.message}",
        hint="choose another precision or `toolchain.compute_capabilities`; nothing was published",
    )


def _failed(builder: str, state: State, message: str) -> Report:
    return Report(builder, state, message, 0, 0, {}, ())


def _reason(stderr: str) -> str:
    """The error line that build_engine.py ends with, or the last line there is."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it gave no reason"])[-1].removeprefix("error: ")
