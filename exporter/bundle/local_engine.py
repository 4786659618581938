"""The engine of a bundle built and proven at once, where the target's TensorRT and GPU are here.

The bundle's own build_engine.py does both, in a process of its own, as it would on the device.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from kexport.errors import GraphRefused, ParityFailed
from kexport.runtime.cli import PARITY_FAILED
from kexport.runtime.errors import EngineMissing
from kexport.runtime.gpu import Cuda, Gpu
from kexport.runtime.verify import reference_of
from kexport.targets import Platform
from kexport.targets.toml_table import matches

MODULE = "tensorrt"
SECONDS = 3600
"""How long it may take: TensorRT times its kernels on the GPU, which can take many minutes."""

ELSEWHERE = "hide the GPU with CUDA_VISIBLE_DEVICES=, and build the engine on the device"


@dataclass(frozen=True, slots=True)
class Built:
    """An engine that lies in a bundle: its size, engine.json, and what verifying it found."""

    bytes: int
    record: dict[str, Any]
    verification: dict[str, Any]


def device_is_here(platform: Platform) -> bool:
    """Whether this machine has a GPU like the platform's, and a TensorRT with the same rules."""
    chain = platform.toolchain
    if platform.device.engine != MODULE or chain is None:
        return False
    version, gpu = _version(), _gpu()
    if version is None or gpu is None:
        return False
    fits = platform.device.sm in (None, gpu.compute_capability)
    return fits and any(matches(version, release) for release in chain.rules.releases)


def build(bundle: Path, name: str, seconds: float = SECONDS) -> Built:
    """Build the engine of a finished bundle, and run its golden samples on it.

    Args:
        bundle: the folder, with its manifest.
        name: the model's.
        seconds: how long it may take.

    Raises:
        GraphRefused: no engine was built.
        ParityFailed: the engine does not give what Keras gave, or not what the graph gives.
    """
    command = [sys.executable, "-B", str(bundle / "build_engine.py"), "--json", "--verify"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise _refused(name, f"it took longer than {seconds:g} s") from error
    if done.returncode not in (0, PARITY_FAILED):
        raise _refused(name, _reason(done))
    said = json.loads(done.stdout)
    built = Built(said["bytes"], said["engine"], said["verification"])
    if done.returncode == PARITY_FAILED:
        worst = max(built.verification["rows"], key=_excess)
        raise ParityFailed(
            f"output {worst['name']!r} of the engine for {name} is {worst['error']} of its spread "
            f"away from {reference_of(worst['name'])}, and {worst['tolerance']:g} is allowed",
            hint="nothing was published; try fp32, which tells a fault of the precision from one "
            "of the graph",
        )
    return built


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
    """How far a row is beyond its tolerance; what is infinite, JSON has as None."""
    return float("inf") if row["error"] is None else float(row["error"] / row["tolerance"])


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"it ended with signal {-done.returncode}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it gave no reason"])[-1].removeprefix("error: ")


def _refused(name: str, why: str) -> GraphRefused:
    return GraphRefused(
        f"no engine was built for {name} on this GPU: {why}",
        hint=f"nothing was published; choose another precision, or {ELSEWHERE}",
    )
