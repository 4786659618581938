"""What `kexport doctor` looks at: packages, engines, and combinations known not to work."""

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import click

from kexport.bundle.build_process import last_error
from kexport.cli.options import as_json
from kexport.errors import MissingDependency

State = Literal["ok", "missing", "broken", "clash"]
Probe = Callable[[str], dict[str, Any]]

_SECONDS = 120
_STAND_INS = {"tensorflow-cpu": ("tensorflow",)}
_NOT_ENGINES = frozenset({"AzureExecutionProvider"})
_SHARED_MODULES = ("onnxruntime", "tensorflow")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. If a required one is not ok, the doctor's exit status is not 0."""

    subject: str
    state: State
    detail: str
    advice: str | None = None
    required: bool = True


class ProbeFailed(Exception):
    """What was probed does not load; the message is the reason, in one line."""


def probe(thing: str) -> dict[str, Any]:
    """Run `kexport.cli.probe` on one thing in a fresh process; raise ProbeFailed if it fails."""
    command = [sys.executable, "-m", "kexport.cli.probe", thing]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProbeFailed(f"nothing within {_SECONDS} s") from error
    if done.returncode != 0:
        raise ProbeFailed(_reason(done.stderr, done.returncode))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found.get("loaded") is False:
        raise ProbeFailed(_reason(done.stderr, 0))
    return found


def all_checks(probe: Probe = probe) -> Iterator[Check]:
    """Yield every finding, cheapest first; `probe` is a parameter for the tests."""
    yield python()
    yield from packages(metadata.requires("kexport") or [])
    yield keras(probe)
    yield from engines(probe)
    yield tensorrt(probe)
    yield tensorrt_rtx(probe)
    yield gpu()
    yield from clashes()


def python() -> Check:
    """The interpreter; pip refuses to install kexport where it is too old."""
    return Check("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def packages(requirements: list[str]) -> Iterator[Check]:
    """The packages that kexport's metadata require, without those of extras."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        names = (requirement.name, *_STAND_INS.get(requirement.name, ()))
        found = [(name, version) for name in names if (version := _version(name))]
        wanted = f"pip install '{requirement.name}{requirement.specifier}'"
        if not found:
            yield Check(requirement.name, "missing", "", wanted)
            continue
        name, version = found[0]
        fits = requirement.specifier.contains(version, prereleases=True)
        yield Check(name, "ok" if fits else "broken", version, None if fits else wanted)


def keras(probe: Probe) -> Check:
    """Does Keras load with TensorFlow as its backend?"""
    try:
        found = probe("keras")
    except ProbeFailed as error:
        return Check("keras loads", "broken", str(error), "pip install --force-reinstall keras")
    return Check("keras loads", "ok", f"backend {found['backend']}")


def engines(probe: Probe) -> Iterator[Check]:
    """Which of ONNX Runtime's execution providers run a model, and not only stand in a list?"""
    try:
        found = probe("providers")
    except ProbeFailed as error:
        yield Check("onnxruntime", "missing", str(error), "pip install 'kexport[cpu]'")
        return
    yield Check("onnxruntime", "ok", found["version"])
    for name in found["providers"]:
        if name not in _NOT_ENGINES:
            yield _engine(name, probe)


_ADVICE = {
    "CUDAExecutionProvider": "models for it run on the CPU; what it misses may come with: "
    "pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "TensorrtExecutionProvider": "nothing of kexport's runs on it: engines are built with "
    "build_engine.py",
}


def _engine(name: str, probe: Probe) -> Check:
    required = name == "CPUExecutionProvider"
    try:
        found = probe(name)
    except ProbeFailed as error:
        advice = _ADVICE.get(name, "models for it run on the next provider")
        return Check(name, "broken", str(error), advice, required)
    if not found["correct"]:
        return Check(name, "broken", "1 + 1 is not 2", "reinstall ONNX Runtime", required)
    return Check(name, "ok", "ran a model", None, required)


def tensorrt(probe: Probe) -> Check:
    """Is there a TensorRT that can build engines here? None is needed to export for one."""
    program = shutil.which("trtexec") or shutil.which("trtexec", path="/usr/src/tensorrt/bin")
    try:
        found = probe("tensorrt")
    except ProbeFailed as error:
        if program:
            return Check("tensorrt", "ok", program, required=False)
        advice = "to build engines on this machine: pip install 'kexport[tensorrt]'"
        return Check("tensorrt", "missing", str(error), advice, required=False)
    return Check("tensorrt", "ok", found["version"], required=False)


def tensorrt_rtx(probe: Probe) -> Check:
    """Is there a TensorRT-RTX, which builds without a GPU?"""
    try:
        found = probe("tensorrt_rtx")
    except ProbeFailed as error:
        advice = "to build for rtx, and to check trt and Jetson: pip install 'kexport[rtx]'"
        return Check("tensorrt-rtx", "missing", str(error), advice, required=False)
    return Check("tensorrt-rtx", "ok", f"{found['version']}, builds without a GPU", required=False)


def gpu() -> Check:
    """The NVIDIA GPUs that the driver shows."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("nvidia gpu", "missing", "no nvidia-smi", required=False)
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        detail = (done.stderr or done.stdout).strip()
        return Check("nvidia gpu", "broken", detail, "see that the driver runs", required=False)
    return Check("nvidia gpu", "ok", "; ".join(done.stdout.split("\n")).strip("; "), required=False)


def clashes() -> Iterator[Check]:
    """Combinations of packages that are each fine and do not work together."""
    owners = metadata.packages_distributions()
    for module in _SHARED_MODULES:
        names = sorted(set(owners.get(module, ())))
        if len(names) > 1:
            yield Check(
                module,
                "clash",
                f"{' and '.join(names)} write into the same folder",
                f"pip uninstall {' '.join(names)}, then install the one you want",
            )
    needed, installed = _tensorrt_of_onnxruntime(), _version("tensorrt")
    if needed and installed and installed.partition(".")[0] != needed:
        yield Check(
            "onnxruntime and tensorrt",
            "clash",
            f"ONNX Runtime's provider needs TensorRT {needed}, installed is {installed}",
            f"pip install 'tensorrt=={needed}.*', or build engines with trtexec",
        )


def _tensorrt_of_onnxruntime() -> str | None:
    """Return the major release of TensorRT that ONNX Runtime's provider is linked to, if any."""
    for name in metadata.packages_distributions().get("onnxruntime", ()):
        for file in metadata.files(name) or ():
            if file.name.endswith("onnxruntime_providers_tensorrt.so"):
                linked = re.search(rb"libnvinfer\.so\.(\d+)", Path(str(file.locate())).read_bytes())
                return linked[1].decode() if linked else None
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _reason(stderr: str, status: int) -> str:
    """Return what tells most of a failed probe's stderr: a missing library, or the last line."""
    if missing := re.search(r"[\w.+-]+\.so[.\d]*: cannot open shared object file", stderr):
        return missing[0]
    if line := last_error(stderr):
        return line
    return f"ended with {status}" if status else "fell back to another provider"


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check this machine: packages, engines, known clashes."""
    from kexport.cli.doctor import all_checks

    checks = list(all_checks())
    healthy = all(check.state == "ok" for check in checks if check.required)
    if as_json:
        report = {"healthy": healthy, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(report, indent=2))
    else:
        from kexport.cli.tables.bundle import checks_table, show

        show(checks_table(checks))
    return 0 if healthy else MissingDependency.exit_code
