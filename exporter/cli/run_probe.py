"""Probe runner: load a library in a process of its own, which a crash cannot take down with it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Probe = Callable[[str], dict[str, Any]]

SECONDS = 120
"""Timeout; TensorFlow alone takes about ten seconds to load."""


class ProbeFailed(Exception):
    """A library does not load; the message is the reason, in one line."""


def probe(thing: str) -> dict[str, Any]:
    """Run `kexport.cli.probe` on one thing in a fresh process; raise ProbeFailed if it fails."""
    command = [sys.executable, "-m", "kexport.cli.probe", thing]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProbeFailed(f"nothing within {SECONDS} s") from error
    if done.returncode != 0:
        raise ProbeFailed(_reason(done.stderr, done.returncode))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found.get("loaded") is False:
        raise ProbeFailed(_reason(done.stderr, 0))
    return found


def _reason(stderr: str, status: int) -> str:
    """Return the most telling line of stderr: the missing library, or the last line."""
    if missing := re.search(r"[\w.+-]+\.so[.\d]*: cannot open shared object file", stderr):
        return missing[0]
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if lines:
        return lines[-1]
    return f"ended with {status}" if status else "fell back to another provider"
