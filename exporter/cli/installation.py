"""Checks of the installation: packages, engines, and combinations known not to work."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from kexport.cli.run_probe import SECONDS, Probe, ProbeFailed, probe

State = Literal["ok", "missing", "broken", "clash"]
_STAND_INS = {"tensorflow-cpu": ("tensorflow",)}
_NOT_ENGINES = frozenset({"AzureExecutionProvider"})
_SHARED_MODULES = ("onnxruntime", "tensorflow")


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. The doctor fails if a required one is not ok."""

    subject: str
    state: State
    detail: str
    advice: str | None = None
    required: bool = True


def all_checks(probe: Probe = probe) -> Iterator[Check]:
    """Yield the result of every check, cheapest first; tests replace `probe`."""
    yield python()
    yield from packages(metadata.requires("kexport") or [])
    yield keras(probe)
    yield from engines(probe)
    yield tensorrt(probe)
    yield tensorrt_rtx(probe)
    yield gpu()
    yield from clashes()


def python() -> Check:
    """Report the interpreter; pip refuses to install kexport on one that is too old."""
    return Check("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def packages(requirements: list[str]) -> Iterator[Check]:
    """Check the packages that kexport's metadata require, without those of extras."""
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
    """Check that Keras loads with TensorFlow as its backend."""
    try:
        found = probe("keras")
    except ProbeFailed as error:
        return Check("keras loads", "broken", str(error), "pip install --force-reinstall keras")
    return Check("keras loads", "ok", f"backend {found['backend']}")


def engines(probe: Probe) -> Iterator[Check]:
    """Check that each execution provider that ONNX Runtime lists can run a model."""
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
    "CUDAExecutionProvider": "models for it run on the CPU; the missing library may come with: "
    "pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "TensorrtExecutionProvider": "kexport does not use it: engines are built with build_engine.py",
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
    """Look for a TensorRT that can build engines here; an export does not need it."""
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
    """Look for TensorRT-RTX, which builds engines without a GPU."""
    try:
        found = probe("tensorrt_rtx")
    except ProbeFailed as error:
        advice = "to build for rtx, and to check trt and Jetson: pip install 'kexport[rtx]'"
        return Check("tensorrt-rtx", "missing", str(error), advice, required=False)
    return Check("tensorrt-rtx", "ok", f"{found['version']}, builds without a GPU", required=False)


def gpu() -> Check:
    """List the NVIDIA GPUs that the driver reports."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("nvidia gpu", "missing", "no nvidia-smi", required=False)
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        detail = (done.stderr or done.stdout).strip()
        return Check("nvidia gpu", "broken", detail, "check that the driver runs", required=False)
    return Check("nvidia gpu", "ok", "; ".join(done.stdout.split("\n")).strip("; "), required=False)


def clashes() -> Iterator[Check]:
    """Yield combinations of installed packages that do not work together."""
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
    """Return the major release of TensorRT that ONNX Runtime's provider is linked against."""
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
