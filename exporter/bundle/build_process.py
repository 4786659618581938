"""Build process: runs a bundle's own build_engine.py.

A library that crashes on a graph must not take the export with it, and one that hangs must be
stopped, so the builder runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """How build_engine.py ended.

    `status` is its exit status, or None if it crashed or was stopped. `report` is its JSON output,
    or None without an engine; `reason` then says why there is none.
    """

    status: int | None
    report: dict[str, Any] | None
    reason: str


def run_build_engine(
    bundle: Path, options: Sequence[str], *, seconds: float, with_report: Sequence[int] = (0,)
) -> BuildOutcome:
    """Run `python build_engine.py --json` in a bundle.

    Args:
        bundle: the folder, with its manifest.
        options: further options of build_engine.py.
        seconds: how long it may take.
        with_report: the exit statuses with which it prints its report.
    """
    command = [sys.executable, "-B", str(bundle / "build_engine.py"), "--json", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return BuildOutcome(None, None, f"it took longer than {seconds:g} s")
    if done.returncode < 0:
        return BuildOutcome(None, None, f"it ended with signal {-done.returncode}")
    if done.returncode in with_report:
        return BuildOutcome(done.returncode, json.loads(done.stdout), "")
    return BuildOutcome(done.returncode, None, last_error(done.stderr) or "it gave no reason")


def last_error(stderr: str) -> str:
    """Return the last line that starts with "error: ", else the last line; "" without lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1].removeprefix("error: ")
