"""Runs one measurement in a process of its own, so that memory and caches are fresh."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

QUIET = {
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def measure(script: str, arguments: Sequence[str], *, gpu: bool = False) -> dict[str, Any]:
    """Run `script` with this Python, and return the JSON object that its last line is.

    GPUs are hidden from it unless `gpu` is set.

    A process that fails or is killed gives {"error": why}.
    """
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env=environment(gpu),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return {"error": f"killed by {name}; most often out of memory"}
    if done.returncode:
        return {"error": _last_line(done.stderr) or f"exit status {done.returncode}"}
    found: dict[str, Any] = json.loads(_last_line(done.stdout))
    return found


def environment(gpu: bool) -> dict[str, str]:
    """Return the environment of a measured process."""
    chosen = {**os.environ, **QUIET}
    if gpu:
        del chosen["CUDA_VISIBLE_DEVICES"]
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            chosen["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    return chosen


def answer(result: dict[str, Any]) -> None:
    """Print the result of the measured process."""
    print(f"\n{json.dumps(result)}", flush=True)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
