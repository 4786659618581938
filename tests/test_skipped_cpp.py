"""Where the C++ runtime cannot be built, the last lines of a test run say so, and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_last_lines_say_how_to_have_the_skipped_tests(root: Path) -> None:
    pytest_program = Path(sys.executable).parent / "pytest"
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", "plain or sanitized"]
    done = subprocess.run(
        [pytest_program, *words, "tests/runtime/cpp/test_builds.py"],
        cwd=root,
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *told, total = done.stdout.splitlines()
    assert total.startswith("2 skipped")
    assert told[-3:] == [
        "2 skipped: cmake is not installed; .ci/packages installs it on Debian",
        "Bundles that other tests export are then not verified in C++ either.",
        "To have these tests, run .ci/packages as root, on Debian or Ubuntu.",
    ]
