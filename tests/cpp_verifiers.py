"""Every bundle that a test publishes is verified in C++ too, before the test goes on.

`make test` does so on this machine; `pytest --aarch64`, a part of `make test-zoo`, on an emulated
aarch64.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cpp_builds import Build


@dataclass(frozen=True)
class Verifier:
    """A process that verifies one bundle after another."""

    process: subprocess.Popen[str]

    def verify(self, bundle: Path) -> tuple[int, str]:
        """The exit status of kexport-verify, and what it prints."""
        given, told = self.process.stdin, self.process.stdout
        assert given is not None
        assert told is not None
        print(bundle.resolve(), file=given, flush=True)
        answer = told.readline()
        assert answer, f"the verifier died of {bundle}"
        status, lines = map(int, answer.split())
        return status, "".join(told.readline() for _ in range(lines))


def verifier(build: Build) -> Iterator[Verifier]:
    """Start one; it ends with the session."""
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
    """The fixture with a core that is held to the bundle's tolerances.

    Where a core computes in half precision, ONNX Runtime has it sum in half precision as well, and
    float16 is further from Keras than anywhere else (docs/cpp.md).
    """
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    half = manifest["target"]["precision"] == "fp16"
    return "verifier_on_cortex_a57" if half else "verifier_on_cortex_a76"


@pytest.fixture(scope="session")
def verify_on_aarch64(request: pytest.FixtureRequest) -> Callable[[Path], tuple[int, str]]:
    """The exit status and the output of kexport-verify on an emulated aarch64."""

    def run(bundle: Path) -> tuple[int, str]:
        found: Verifier = request.getfixturevalue(verifier_for_aarch64(bundle))
        return found.verify(bundle)

    return run


@pytest.fixture(scope="session")
def passes_in_cpp(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Hold a bundle to kexport-verify; nothing where that cannot be built, as other tests say."""
    emulate = request.config.getoption("--aarch64")

    def check(bundle: Path) -> None:
        name = verifier_for_aarch64(bundle) if emulate else "verifier_here"
        try:
            found: Verifier = request.getfixturevalue(name)
        except pytest.skip.Exception:
            return
        status, told = found.verify(bundle)
        assert status == 0, told

    return check


@pytest.fixture(scope="session", autouse=True)
def published_bundles_pass_in_cpp(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever kexport.export publishes in this process, and does not reject."""
    from kexport.bundle import publish as module

    publish = module.publish

    def checked(work: Path, output: Path, *, force: bool = False) -> None:
        publish(work, output, force=force)
        if (output / "manifest.json").is_file() and ".rejected" not in output.suffix:
            request.getfixturevalue("passes_in_cpp")(output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "publish", checked)
        if "kexport.api" in sys.modules:
            patch.setattr("kexport.api.publish", checked)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--aarch64",
        action="store_true",
        help="verify what tests publish on an emulated aarch64, and not here",
    )
