"""The machine and the packages that a benchmark ran on."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "tf2onnx", "onnx", "onnx-ir", "onnxruntime")
PEERS = ("openvino", "ai-edge-litert")


def machine() -> str:
    """Describe processor, cores and memory in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{_processor()}, {cores} cores, {memory:.0f} GB, {platform.system()}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    number = re.search(r"^model\s*:\s*(\d+)$", text, re.MULTILINE)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_tile") if flag in text]
    said = name.group(1).strip() if name else platform.machine()
    return f"{said} (model {number.group(1) if number else '?'}; {', '.join(flags)})"


def versions(packages: Sequence[str] = PACKAGES) -> str:
    """List Python and the installed packages in one line."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def peak_memory() -> int:
    """Return the peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would begin with what the parent held
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found.group(1)) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
