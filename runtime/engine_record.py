"""Engine record (engine.json): what engine.plan was built from, by what, and for which GPU.

engine.json describes the engine as manifest.json describes the rest of the bundle. engine.plan
itself holds just the bytes that TensorRT wrote, without a header, so that other programs can load
it too.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .errors import BundleRefused
from .manifest import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from .gpu import Gpu

PLAN, RECORD, TIMING_CACHE = "engine.plan", "engine.json", "timing.cache"
FILES = (PLAN, RECORD, TIMING_CACHE)
"""The files that building an engine writes into a bundle; the manifest does not list them."""

BUILD_AGAIN = "build it here with: python build_engine.py"
HARDWARE = ("none", "ampere_plus", "same_compute_capability")
"""TensorRT's hardware compatibility levels."""

_WEIGHTS = "model.onnx.data"


@dataclass(frozen=True)
class Flags:
    """The builder flags of an engine.

    `strongly_typed` takes every type from the graph; `fp16` and `int8` let TensorRT 8 choose types.
    `tf32` lets GPUs from Ampere on multiply float32 with mantissas of 10 bits (TensorFloat-32).
    `workspace` is in bytes, None for the builder's choice; `dla_core` is the deep-learning
    accelerator that runs the layers it supports, None for the GPU alone. `profile` is the
    optimisation profile: for each input with free sizes the minimum, optimum and maximum shape.
    """

    strongly_typed: bool = True
    fp16: bool = False
    int8: bool = False
    tf32: bool = True
    workspace: int | None = None
    optimization_level: int | None = None
    version_compatible: bool = False
    hardware_compatibility: str = "none"
    dla_core: int | None = None
    profile: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """The environment that an engine runs in: library, version, platform and GPUs.

    `module` is "tensorrt" or "tensorrt_rtx". `gpu` is the name of the GPU that the engine was built
    on, or None if it was built without one, for all of `compute_capabilities`.
    """

    module: str
    version: str
    platform: str
    gpu: str | None
    compute_capabilities: tuple[str, ...]


@dataclass(frozen=True)
class EngineRecord:
    """The content of engine.json; `model` and `plan` are SHA-256."""

    model: str
    plan: str
    environment: Environment
    flags: Flags

    def as_dict(self) -> dict[str, Any]:
        """Return the record as engine.json has it, where the environment's key is "place"."""
        place, flags = asdict(self.environment), asdict(self.flags)
        return {"model": self.model, "plan": self.plan, "place": place, "flags": flags}

    def fault(self, model: str, here: Environment) -> str | None:
        """Return why the engine must not run a model, given by its hash, here; None if it may."""
        if model != self.model:
            return f"{MODEL} is not the one that it was built from"
        mine = self.environment
        if here.module != mine.module or (mine.gpu and here.platform != mine.platform):
            return f"it is for {mine.module} on {mine.platform}"
        if here.version != mine.version and not self._serves(here.version):
            return f"it is for {mine.module} {mine.version}, and this is {here.version}"
        if not self._runs_on(here):
            made = mine.gpu or f"compute capability {', '.join(mine.compute_capabilities)}"
            return f"it is for {made}, and this is {here.gpu}"
        return None

    def _serves(self, version: str) -> bool:
        """Whether the engine may run on this later release.

        A version-compatible engine runs on later releases of its major version and of the next.
        """
        if not self.flags.version_compatible:
            return False
        mine, other = _numbers(self.environment.version), _numbers(version)
        majors = mine[:1] + other[:1]
        return other >= mine and majors in (mine[:1] * 2, (8, 10), (10, 11))

    def _runs_on(self, here: Environment) -> bool:
        mine, (capability,) = self.environment, here.compute_capabilities
        if mine.gpu is None:
            return capability in mine.compute_capabilities
        level = self.flags.hardware_compatibility
        if level == "ampere_plus":
            return _numbers(capability) >= (8, 0)
        same = capability in mine.compute_capabilities
        return same and (level == "same_compute_capability" or here.gpu == mine.gpu)


def environment_here(module: str, version: str, gpu: Gpu) -> Environment:
    """Return the environment that this process runs in."""
    return Environment(module, version, platform_here(), gpu.name, (gpu.compute_capability,))


def platform_here() -> str:
    """Return operating system and processor, such as "Linux aarch64"."""
    return f"{platform.system()} {platform.machine()}"


def hash_of_model(bundle: Path) -> str:
    """Return the SHA-256 over model.onnx followed by its external weights, if there are any."""
    digest = hashlib.sha256()
    for name in (MODEL, _WEIGHTS):
        path = bundle / name
        if name == MODEL or path.exists():
            _feed(digest, path)
    return digest.hexdigest()


def hash_of_plan(folder: Path) -> str:
    """Return the SHA-256 of engine.plan."""
    digest = hashlib.sha256()
    _feed(digest, folder / PLAN)
    return digest.hexdigest()


def write_engine(folder: Path, plan: bytes, record: EngineRecord) -> EngineRecord:
    """Write engine.plan and engine.json atomically, and return the record with the plan's hash."""
    record = replace(record, plan=hashlib.sha256(plan).hexdigest())
    if (folder / RECORD).exists():
        (folder / RECORD).unlink()
    _replace(folder / PLAN, plan)
    text = json.dumps(record.as_dict(), indent=2)
    _replace(folder / RECORD, f"{text}\n".encode())
    return record


def read_record(folder: Path) -> EngineRecord:
    """Read engine.json.

    Raises BundleRefused if it is missing or malformed, or if engine.plan is not the file that it
    describes.
    """
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        place = {**data["place"], "compute_capabilities": _strings(data["place"])}
        built, flags = Environment(**place), Flags(**data["flags"])
        record = EngineRecord(data["model"], data["plan"], built, flags)
        if not all(
            isinstance(value, str)
            for value in (record.plan, built.module, built.version, built.platform)
        ):
            raise TypeError("plan, module, version and platform must be strings")
        found = hash_of_plan(folder)
    except OSError as error:
        raise BundleRefused(
            f"{error.filename} cannot be read: {error.strerror}", hint=BUILD_AGAIN
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleRefused(
            f"{folder / RECORD} is not one that kexport wrote: {error!r}", hint=BUILD_AGAIN
        ) from error
    if found != record.plan:
        raise BundleRefused(
            f"{folder / PLAN} is not the engine that {RECORD} describes", hint=BUILD_AGAIN
        )
    return record


def _strings(data: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry) for entry in data["compute_capabilities"])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _feed(digest: Any, path: Path) -> None:
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
