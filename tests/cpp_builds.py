"""Builds of the C++ runtime for this machine and for aarch64, each built once for all workers."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from documents import blocks

import kexport.runtime

TESTS = Path(__file__).parent / "runtime" / "cpp"
SOURCES = Path(kexport.runtime.__file__).parent / "cpp"
WARNINGS = "-Wall -Wextra -Werror"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -O0"
ENVIRONMENT = {
    **os.environ,
    "KEXPORT_ONNXRUNTIME": str(Path(onnxruntime.__file__).parent / "capi"),
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
    "LSAN_OPTIONS": f"suppressions={TESTS / 'programs' / 'leaks.txt'}:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
}
SANITIZER_FOUND = 99
WITH_VERIFIER = f"-DCMAKE_PROJECT_INCLUDE={TESTS / 'verifier.cmake'}"


@dataclass(frozen=True)
class Build:
    """A build folder; `launcher` runs programs that are for another machine."""

    folder: Path
    launcher: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, program: str, *arguments: object) -> list[str]:
        return [*self.launcher, str(self.folder / program), *map(str, arguments)]

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment variables of its programs."""
        return {**ENVIRONMENT, **self.environment}

    def run(self, program: str, *arguments: object) -> Done:
        """Run a program; a finding of a sanitiser fails the test."""
        command = self.command(program, *arguments)
        done = subprocess.run(command, capture_output=True, env=self.surroundings, timeout=120)
        found = done.returncode == SANITIZER_FOUND or b"runtime error" in done.stderr
        assert not found, done.stderr.decode(errors="replace")
        assert done.returncode >= 0
        return Done(done.returncode, done.stdout, done.stderr.decode())


@dataclass(frozen=True)
class Done:
    """The result of a program."""

    status: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


def same_bits(build: Build, bundle: Path) -> bool:
    """Whether `run` gives the same bits as Python for the full batches of golden.npz."""
    session = kexport.runtime.load(bundle)
    with np.load(bundle / "golden.npz") as golden:
        inputs = {spec.name: golden[spec.name] for spec in session.manifest.inputs}
    size = session.batch or len(next(iter(inputs.values())))
    expected = b""
    for at in range(0, len(next(iter(inputs.values()))) - size + 1, size):
        batch = {name: array[at : at + size] for name, array in inputs.items()}
        given = session.run(batch)
        expected += b"".join(given[spec.name].tobytes() for spec in session.manifest.outputs)
    done = build.run("driver", "run", bundle)
    assert (done.status, done.err) == (0, "")
    return bool(done.raw == expected)


def need(*commands: str) -> None:
    """Skip the test if a command is not installed."""
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed; .ci/packages installs it on Debian")


def content(*folders: Path) -> str:
    """Hash the sources in some folders, to reuse a build as long as they do not change."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if path.suffix in (".cpp", ".hpp", ".txt", ".cmake"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def commands(folder: Path, project: Path) -> tuple[list[str], list[str]]:
    """Return how the README of a bundle's cpp/ folder says to configure and to build."""
    shown = blocks((SOURCES / "README.md").read_text("utf-8"))
    lines = [line for block in shown if block.language == "sh" for line, _ in block.steps]
    places = {"BUNDLE/cpp": str(project), "build": str(folder)}
    configure, build = (
        [places.get(word, word) for word in line.split()]
        for line in lines
        if line.startswith("cmake ")
    )
    return configure, build


def configured(folder: Path, project: Path, options: Sequence[str]) -> None:
    """Run cmake; skip the test if a package is missing, fail for other errors."""
    configure, _ = commands(folder, project)
    done = subprocess.run([*configure, *options], capture_output=True, text=True)
    if "is not found" in done.stderr:
        missing = next(line for line in done.stderr.splitlines() if "is not found" in line)
        shutil.rmtree(folder)
        pytest.skip(f"{missing.strip()} .ci/packages installs it on Debian")
    assert done.returncode == 0, done.stdout + done.stderr


def built(folder: Path, targets: Sequence[str] = ()) -> None:
    """Build some targets of a configured project, or all."""
    _, build = commands(folder, folder)
    wanted = [word for target in targets for word in ("--target", target)]
    done = subprocess.run([*build, *wanted], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def sources() -> Path:
    """Return the folder that bundles have as cpp/."""
    need("cmake", "make", "g++")
    return SOURCES


@pytest.fixture(scope="session")
def packages(root: Path) -> Path:
    """Return the folder that .ci/packages unpacks into; it may not exist."""
    return root / "build" / "packages"


@pytest.fixture(scope="session")
def make_build(root: Path, sources: Path) -> Callable[..., Path]:
    """Return a function that builds sources with cmake options, and reuses builds."""

    def make(name: str, project: Path, *options: str, targets: Sequence[str] = ()) -> Path:
        key = (
            content(sources, TESTS) + hashlib.sha256(repr((project, options)).encode()).hexdigest()
        )
        folder = root / "build" / "cpp" / f"{name}-{key[:20]}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / "whole").exists():
                return folder
            for old in folder.parent.glob(f"{name}-*"):
                shutil.rmtree(old)
            configured(folder, project, options)
            built(folder, targets)
            (folder / "whole").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def plain(make_build: Callable[..., Path]) -> Build:
    """Build the programs as a user builds them from a bundle, with warnings as errors."""
    return Build(make_build("plain", SOURCES, f"-DCMAKE_CXX_FLAGS={WARNINGS}", WITH_VERIFIER))


def documented(root: Path) -> Path:
    """Write the program that docs/cpp.md shows to a file."""
    shown = blocks((root / "docs" / "cpp.md").read_text("utf-8"))
    (program,) = (block.body for block in shown if block.language == "cpp")
    path = root / "build" / "cpp" / "documented.cpp"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != program:
        path.write_text(program, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sanitized(root: Path, make_build: Callable[..., Path]) -> Build:
    """Build all programs, tests and examples with ASan and UBSan, and fuzzers with clang."""
    examples = [*sorted((root / "examples" / "cpp").glob("*.cpp")), documented(root)]
    clang = shutil.which("clang++")
    fuzzer = " -fsanitize=fuzzer-no-link" if clang else ""
    folder = make_build(
        "sanitized",
        TESTS,
        "-DCMAKE_BUILD_TYPE=Sanitized",
        f"-DCMAKE_CXX_COMPILER={clang or 'g++'}",
        f"-DCMAKE_CXX_FLAGS={WARNINGS} {SANITIZERS}{fuzzer}",
        f"-DKEXPORT_SOURCES={SOURCES}",
        "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0",
        f"-DKEXPORT_EXAMPLES={';'.join(map(str, examples))}",
    )
    return Build(folder / "bin")


@dataclass(frozen=True)
class Core:
    """An Arm core, as /proc/cpuinfo describes it."""

    features: str
    variant: str
    part: str


COMMON = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
CORES = {
    "cortex-a57": Core(COMMON, "0x1", "0xd07"),
    "cortex-a76": Core(f"{COMMON} atomics fphp asimdhp asimddp", "0x3", "0xd0b"),
}
"""The core of Jetson Nano, and one with half precision and SDOT, as in Orin."""


@pytest.fixture(scope="session")
def cross_built(root: Path, packages: Path, make_build: Callable[..., Path]) -> Path:
    """Build kexport-verify and the verifier for aarch64; skip if that is not possible."""
    if platform.machine() == "aarch64":
        pytest.skip("this machine is an aarch64 itself")
    need("aarch64-linux-gnu-g++", "qemu-aarch64")
    unpacked = packages / "aarch64"
    if not unpacked.is_dir():
        pytest.skip(f"{unpacked} is not there; .ci/packages makes it on Debian")
    toolchain, option = documented_toolchain(root, unpacked)
    return make_build(
        "aarch64",
        SOURCES,
        *("-D", f"{option}={toolchain}"),
        "-DCMAKE_BUILD_TYPE=Quick",
        f"-DCMAKE_CXX_FLAGS={WARNINGS}",
        WITH_VERIFIER,
        targets=["kexport-verify", "verifier"],
    )


def documented_toolchain(root: Path, sysroot: Path) -> tuple[Path, str]:
    """Write the toolchain file that docs/cpp.md shows beside a sysroot.

    Return its path, and the option of the command there that names it.
    """
    shown = blocks((root / "docs" / "cpp.md").read_text("utf-8"))
    (file,) = (block for block in shown if block.file is not None)
    lines = [line for block in shown if block.language == "sh" for line, _ in block.steps]
    (said,) = (line for line in lines if "build-aarch64 -D" in line)
    option, _, path = said.split()[-1].partition("=")
    assert path == f"$PWD/{file.file}"
    content_hash = hashlib.sha256(file.body.encode()).hexdigest()[:12]
    folder = root / "build" / "cpp" / f"cross-{content_hash}"
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / str(os.getpid())  # another worker may do the same at this moment
    own.write_text(file.body, encoding="utf-8")
    toolchain = own.replace(folder / Path(path).name)
    with contextlib.suppress(FileExistsError):
        (folder / "sysroot").symlink_to(sysroot)
    return toolchain, option


@pytest.fixture(scope="session")
def emulated(
    packages: Path, cross_built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Build]:
    """Return the programs for aarch64 on one of CORES, emulated by qemu-user."""

    def on(core: str) -> Build:
        unpacked = packages / "aarch64"
        system = root_of(CORES[core], tmp_path_factory.mktemp(core))
        libraries = f"{unpacked}/usr/lib/aarch64-linux-gnu:{unpacked}/lib/aarch64-linux-gnu"
        launcher = ["qemu-aarch64", "-cpu", core, "-L", str(system)]
        launcher += ["-E", f"LD_LIBRARY_PATH={libraries}"]
        return Build(cross_built, launcher, {"KEXPORT_ONNXRUNTIME": str(unpacked)})

    return on


@pytest.fixture(scope="session")
def aarch64(emulated: Callable[[str], Build]) -> Build:
    return emulated("cortex-a76")


def root_of(core: Core, system: Path) -> Path:
    """Make a root folder for qemu, with Debian's aarch64 libc and an Arm core's cpuinfo.

    ONNX Runtime reads /proc/cpuinfo, and exits if that describes an x86 CPU.
    """
    (system / "lib").symlink_to("/usr/aarch64-linux-gnu/lib")
    (system / "proc").mkdir()
    lines = [
        "processor\t: 0",
        "BogoMIPS\t: 100.00",
        f"Features\t: {core.features}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        f"CPU variant\t: {core.variant}",
        f"CPU part\t: {core.part}",
        "CPU revision\t: 1",
    ]
    (system / "proc" / "cpuinfo").write_text("\n".join(lines) + "\n\n")
    return system
