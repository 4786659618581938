"""Local engine: builds and verifies a bundle's engine if this machine is the target.

The bundle's own build_engine.py does both, as it would on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from kexport.bundle.build_process import run_build_engine
from kexport.errors import GraphRefused, ParityFailed
from kexport.runtime.cli import PARITY_FAILED
from kexport.runtime.errors import EngineMissing
from kexport.runtime.gpu import Cuda, Gpu
from kexport.runtime.verify import reference_of
from kexport.targets import Platform
from kexport.targets.toml_table import matches

MODULE = "tensorrt"
SECONDS = 3600
"""Time limit of a build: TensorRT times its kernels on the GPU, which can take many minutes."""

ELSEWHERE = "hide the GPU with CUDA_VISIBLE_DEVICES=, and build the engine on the device"


@dataclass(frozen=True, slots=True)
class VerifiedEngine:
    """The engine in a bundle: its size in bytes, its engine.json, and its verification."""

    bytes: int
    record: dict[str, Any]
    verification: dict[str, Any]


def device_is_here(platform: Platform) -> bool:
    """Whether this machine has a GPU like the platform's, and a TensorRT of the same release."""
    chain = platform.toolchain
    if platform.device.engine != MODULE or chain is None:
        return False
    version, gpu = _version(), _gpu()
    if version is None or gpu is None:
        return False
    fits = platform.device.sm in (None, gpu.compute_capability)
    return fits and any(matches(version, release) for release in chain.rules.releases)


def build_and_verify_engine(bundle: Path, name: str, seconds: float = SECONDS) -> VerifiedEngine:
    """Build the engine of a finished bundle, and run the golden samples on it.

    Args:
        bundle: the folder, with its manifest.
        name: the model's name.
        seconds: time limit of the build.

    Raises:
        GraphRefused: no engine was built.
        ParityFailed: the engine's outputs are outside the tolerances.
    """
    statuses = (0, PARITY_FAILED)
    done = run_build_engine(bundle, ["--verify"], seconds=seconds, with_report=statuses)
    if done.report is None:
        raise _refused(name, done.reason)
    report = done.report
    engine = VerifiedEngine(report["bytes"], report["engine"], report["verification"])
    if done.status == PARITY_FAILED:
        worst = max(engine.verification["rows"], key=_excess)
        raise ParityFailed(
            f"output {worst['name']!r} of the engine for {name} differs from "
            f"{reference_of(worst['name'])} by {worst['error']} of its spread, but at most "
            f"{worst['tolerance']:g} is allowed",
            hint="nothing was published; try fp32, to see whether the precision or the graph is "
            "at fault",
        )
    return engine


def _version() -> str | None:
    try:
        return str(import_module(MODULE).__version__)
    except (ImportError, OSError):  # the latter where it finds no libnvinfer
        return None


def _gpu() -> Gpu | None:
    try:
        return Cuda().gpu
    except EngineMissing:
        return None


def _excess(row: dict[str, Any]) -> float:
    """Return a row's error relative to its tolerance; JSON has None for an infinite error."""
    return float("inf") if row["error"] is None else float(row["error"] / row["tolerance"])


def _refused(name: str, why: str) -> GraphRefused:
    return GraphRefused(
        f"no engine was built for {name} on this GPU: {why}",
        hint=f"nothing was published; choose another precision, or {ELSEWHERE}",
    )
