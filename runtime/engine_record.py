"""engine.json: what engine.plan was built from, by what, and for which GPU.

It is to the engine what manifest.json is to the rest of the bundle: the engine itself is the plain
bytes that TensorRT wrote, without a header, so that any other program can load it too.
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
"""What building leaves in a bundle; the manifest does not list these files."""

BUILD_AGAIN = "build it here with: python build_engine.py"
HARDWARE = ("none", "ampere_plus", "same_compute_capability")
"""TensorRT's levels of hardware compatibility."""

_WEIGHTS = "model.onnx.data"


@dataclass(frozen=True)
class Flags:
    """How an engine was built.

    `strongly_typed` takes every type from the graph; `fp16` and `int8` let TensorRT 8 choose them.
    `workspace` is in bytes, None where the builder chose; `dla_core` the accelerator that runs what
    it can, None for the GPU alone. `profile` has for each input with free sizes the smallest, the
    usual and the largest shape.
    """

    strongly_typed: bool = True
    fp16: bool = False
    int8: bool = False
    workspace: int | None = None
    optimization_level: int | None = None
    version_compatible: bool = False
    hardware_compatibility: str = "none"
    dla_core: int | None = None
    profile: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where an engine runs: the library, its version, the platform, and GPUs.

    `module` is "tensorrt" or "tensorrt_rtx". `gpu` is the name of the GPU that it was built on, or
    None where it was built without one, for all of `compute_capabilities`.
    """

    module: str
    version: str
    platform: str
    gpu: str | None
    compute_capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """The content of engine.json; `model` and `plan` are SHA-256."""

    model: str
    plan: str
    place: Place
    flags: Flags

    def fault(self, model: str, place: Place) -> str | None:
        """Say why an engine for `self` must not run a model at another place; None if it may."""
        if model != self.model:
            return f"{MODEL} is not the one that it was built from"
        mine = self.place
        if place.module != mine.module or (mine.gpu and place.platform != mine.platform):
            return f"it is for {mine.module} on {mine.platform}"
        if place.version != mine.version and not self._serves(place.version):
            return f"it is for {mine.module} {mine.version}, and this is {place.version}"
        if not self._runs_on(place):
            made = mine.gpu or f"compute capability {', '.join(mine.compute_capabilities)}"
            return f"it is for {made}, and this is {place.gpu}"
        return None

    def _serves(self, version: str) -> bool:
        """A version-compatible engine runs on later releases of its major, and of the next."""
        if not self.flags.version_compatible:
            return False
        mine, other = _numbers(self.place.version), _numbers(version)
        majors = mine[:1] + other[:1]
        return other >= mine and majors in (mine[:1] * 2, (8, 10), (10, 11))

    def _runs_on(self, place: Place) -> bool:
        mine, (here,) = self.place, place.compute_capabilities
        if mine.gpu is None:
            return here in mine.compute_capabilities
        level = self.flags.hardware_compatibility
        if level == "ampere_plus":
            return _numbers(here) >= (8, 0)
        same = here in mine.compute_capabilities
        return same and (level == "same_compute_capability" or place.gpu == mine.gpu)


def here(module: str, version: str, gpu: Gpu) -> Place:
    """The place that this process runs at."""
    return Place(module, version, system(), gpu.name, (gpu.compute_capability,))


def system() -> str:
    """Operating system and processor, such as "Linux aarch64"."""
    return f"{platform.system()} {platform.machine()}"


def hash_of_model(bundle: Path) -> str:
    """SHA-256 over model.onnx and, where they lie beside it, its weights."""
    digest = hashlib.sha256()
    for name in (MODEL, _WEIGHTS):
        path = bundle / name
        if name == MODEL or path.exists():
            _feed(digest, path)
    return digest.hexdigest()


def hash_of_plan(folder: Path) -> str:
    """SHA-256 of engine.plan."""
    digest = hashlib.sha256()
    _feed(digest, folder / PLAN)
    return digest.hexdigest()


def write(folder: Path, plan: bytes, record: Record) -> Record:
    """Write engine.plan and engine.json, each whole or not at all; the plan's hash is filled in."""
    record = replace(record, plan=hashlib.sha256(plan).hexdigest())
    if (folder / RECORD).exists():
        (folder / RECORD).unlink()
    _replace(folder / PLAN, plan)
    text = json.dumps(asdict(record), indent=2)
    _replace(folder / RECORD, f"{text}\n".encode())
    return record


def read(folder: Path) -> Record:
    """Read engine.json.

    Raises BundleRefused where it is missing or is none, or where engine.plan is not the file that
    it speaks of.
    """
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        place = {**data["place"], "compute_capabilities": _texts(data["place"])}
        record = Record(data["model"], data["plan"], Place(**place), Flags(**data["flags"]))
        texts = (record.plan, record.place.module, record.place.version, record.place.platform)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("what should be a text is none")
        found = hash_of_plan(folder)
    except OSError as error:
        raise BundleRefused(
            f"{error.filename} cannot be read: {error.strerror}", hint=BUILD_AGAIN
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleRefused(
            f"{folder / RECORD} is none that kexport wrote: {error!r}", hint=BUILD_AGAIN
        ) from error
    if found != record.plan:
        raise BundleRefused(
            f"{folder / PLAN} is not the engine that {RECORD} describes", hint=BUILD_AGAIN
        )
    return record


def _texts(data: dict[str, Any]) -> tuple[str, ...]:
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
