"""Verification in C++ of the bundles that tests export.

Tests export with the fixture `export_and_verify`, or give a bundle from the command line to
`verify_in_cpp`. `make test` verifies on this machine; `pytest --aarch64`, a part of
`make test-zoo`, on an emulated aarch64.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cpp_builds import Build

Export = Callable[..., Any]
"""As kexport.export: takes a model, a target and options, and returns the bundle."""

Verify = Callable[[Path], None]
"""Fails the test where a bundle does not pass."""


@dataclass(frozen=True)
class Verifier:
    """A process that verifies one bundle after another."""

    process: subprocess.Popen[str]

    def verify(self, bundle: Path) -> tuple[int, str]:
        """Return the exit status of kexport-verify, and its output."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(bundle.resolve(), file=stdin, flush=True)
        answer = stdout.readline()
        assert answer, f"the C++ verifier died while it verified {bundle}"
        status, lines = map(int, answer.split())
        return status, "".join(stdout.readline() for _ in range(lines))


def verifier(build: Build) -> Iterator[Verifier]:
    """Start a verifier, which ends with the session."""
    with subprocess.Popen(
        build.command("verifier"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=build.surroundings,
    ) as process:
        yield Verifier(process)


@pytest.fixture(scope="session")
def verifier_here(plain: Build) -> Iterator[Verifier]:
    yield from verifier(plain)


@pytest.fixture(scope="session")
def verifier_on_cortex_a76(emulated: Callable[[str], Build]) -> Iterator[Verifier]:
    yield from verifier(emulated("cortex-a76"))


@pytest.fixture(scope="session")
def verifier_on_cortex_a57(emulated: Callable[[str], Build]) -> Iterator[Verifier]:
    yield from verifier(emulated("cortex-a57"))


def verifier_for_aarch64(bundle: Path) -> str:
    """Return the fixture with a core on which a bundle's tolerances hold.

    A core that computes in half precision also sums in half precision in ONNX Runtime, so float16
    is further from Keras there than on any other machine (docs/cpp.md).
    """
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    half = manifest["target"]["precision"] == "fp16"
    return "verifier_on_cortex_a57" if half else "verifier_on_cortex_a76"


@pytest.fixture(scope="session")
def verify_on_aarch64(request: pytest.FixtureRequest) -> Callable[[Path], tuple[int, str]]:
    """Run kexport-verify on an emulated aarch64: its exit status and its output."""

    def run(bundle: Path) -> tuple[int, str]:
        found: Verifier = request.getfixturevalue(verifier_for_aarch64(bundle))
        return found.verify(bundle)

    return run


@pytest.fixture(scope="session")
def verify_in_cpp(request: pytest.FixtureRequest) -> Verify:
    """Check that kexport-verify, the C++ runtime's program, passes a bundle.

    Nothing is checked where the program cannot be built; tests/runtime/cpp is skipped there too.
    """
    emulate = request.config.getoption("--aarch64")

    def verify(bundle: Path) -> None:
        name = verifier_for_aarch64(bundle) if emulate else "verifier_here"
        try:
            found: Verifier = request.getfixturevalue(name)
        except pytest.skip.Exception:
            return
        status, output = found.verify(bundle)
        if status != 0:
            pytest.fail(f"kexport-verify (C++) exits with {status} for {bundle}:\n{output}")

    return verify


@pytest.fixture(scope="session")
def export_and_verify(verify_in_cpp: Verify) -> Export:
    """Export with kexport.export, and check that the C++ runtime verifies the bundle too."""

    def export(model: Any, target: str, **options: Any) -> Any:
        import kexport

        bundle = kexport.export(model, target, **options)
        verify_in_cpp(bundle.path)
        return bundle

    return export


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--aarch64",
        action="store_true",
        help="verify what tests export on an emulated aarch64, and not on this machine",
    )
