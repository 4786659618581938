"""Settings of all tests: quiet libraries, marks of slow tests, and skips without a GPU."""

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout, with documents and settings that no wheel carries."""
    return ROOT


@pytest.fixture(autouse=True)
def without_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tables as wide as in a pipe; pytest-xdist sets COLUMNS for its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


@cache
def _has_gpu() -> bool:
    from kexport.cli.run_probe import ProbeFailed, probe

    try:
        return bool(probe("CUDAExecutionProvider")["correct"])
    except ProbeFailed:
        return False


@pytest.fixture(autouse=True)
def tensorrt_is_absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide TensorRT from tests not marked `rtx` or `gpu`, whose exports then build no engine."""
    for mark, module in (("rtx", "tensorrt_rtx"), ("gpu", "tensorrt")):
        if request.node.get_closest_marker(mark) is None:
            monkeypatch.setitem(sys.modules, module, None)


PACKAGES = ".ci/packages"
"""Installs what the tests of the C++ runtime use; their reasons to be skipped name it."""

SLOW_FIXTURES = {"make_build", "verify_in_cpp", "verify_on_aarch64"}
"""Fixtures that build C++; tests that export use `verify_in_cpp`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that export, build C++ or build engines as slow."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SLOW_FIXTURES or item.get_closest_marker("rtx"):
            item.add_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("rtx") and importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("needs TensorRT for RTX (kexport[rtx])")
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("needs an NVIDIA GPU with ONNX Runtime's CUDA provider")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tests of the C++ runtime were skipped, and how to have them."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    missing = [reason.removeprefix("Skipped: ") for reason in reasons if PACKAGES in reason]
    if not missing:
        return
    terminalreporter.section("C++ runtime", sep="-")
    for reason in sorted(set(missing)):
        terminalreporter.line(f"{missing.count(reason)} skipped: {reason}")
    terminalreporter.line("Bundles that other tests export are then not verified in C++ either.")
    terminalreporter.line(f"To have these tests, run {PACKAGES} as root, on Debian or Ubuntu.")


sys.path.append(str(ROOT / "tests"))  # for `support` and the other shared helpers

pytest_plugins = ["cpp_builds", "cpp_verifiers", "model_files"]  # for the tests of all folders

settings.register_profile("default", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("zoo", parent=settings.get_profile("default"), max_examples=200)
settings.load_profile("default")
