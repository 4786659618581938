"""The devices and toolchains that kexport knows: TOML files, read into frozen dataclasses."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TypeVar, get_args

from kexport.errors import BadArgument, UnknownTarget, did_you_mean
from kexport.targets import toolchain_choice
from kexport.targets.opset import check_opset
from kexport.targets.target import (
    PRECISIONS,
    Device,
    Engine,
    Module,
    Platform,
    Precision,
    Target,
)
from kexport.targets.target import read_device as _read_device
from kexport.targets.toml_table import release
from kexport.targets.toolchain import (
    JetPack,
    TensorRT,
    ToolchainRelease,
    read_jetpack,
    read_tensorrt,
)

__all__ = [
    "Device",
    "Engine",
    "JetPack",
    "Module",
    "Platform",
    "Precision",
    "Target",
    "TensorRT",
    "ToolchainRelease",
    "devices",
    "find",
    "has_dla",
    "jetpacks",
    "names",
    "of_device",
    "place",
    "require_dla",
    "tensorrts",
    "toolchains",
]

Row = TypeVar("Row")


@cache
def devices() -> tuple[Device, ...]:
    """Return all devices, in alphabetical order."""
    return tuple(_rows("", _read_device))


@cache
def tensorrts() -> tuple[TensorRT, ...]:
    """Return the rules of all releases of TensorRT, oldest first."""
    rows = sorted(_rows("tensorrt", read_tensorrt), key=lambda row: release(row.name))
    operators: set[str] = set()
    complete = []
    for row in rows:
        operators |= set(row.operators)
        complete.append(replace(row, operators=tuple(sorted(operators))))
    return tuple(complete)


@cache
def jetpacks() -> tuple[JetPack, ...]:
    """Return all releases of JetPack, oldest first."""
    return tuple(sorted(_rows("jetpack", read_jetpack), key=lambda row: release(row.name)))


def toolchains(device: Device) -> tuple[ToolchainRelease, ...]:
    """Return all toolchains that a device can run, the default first."""
    return toolchain_choice.toolchains(device, jetpacks(), tensorrts())


def names() -> tuple[str, ...]:
    """Return the names of all targets, such as "trt-fp16", device by device."""
    return tuple(target.name for device in devices() for target in of_device(device))


def of_device(device: Device, toolchain: ToolchainRelease | None = None) -> tuple[Target, ...]:
    """Return the device in each precision that kexport writes, for `toolchain` or its newest."""
    known = toolchains(device)
    chosen = toolchain or (known[0] if known else None)
    return tuple(
        Target(
            Platform(device, chosen, precision),
            precision,
            _opset(device, chosen, precision),
            device.compute_capabilities,
        )
        for precision in device.precisions
    )


def _opset(device: Device, chosen: ToolchainRelease | None, precision: Precision) -> int:
    opset = device.opset if chosen is None else chosen.rules.opset_of(precision)
    assert opset is not None, "a device without an opset has toolchains"
    return opset


def find(
    name: str,
    *,
    jetpack: str | None = None,
    tensorrt: str | None = None,
    opset: int | None = None,
    compute_capabilities: Sequence[str] = (),
) -> Target:
    """Return the target called `name`; case is ignored, and `_` is as good as `-`.

    Args:
        name: `<device>-<precision>`.
        jetpack: the JetPack on the device, or the beginning of its version: "5.1" means the newest
            5.1.x that the device can run.
        tensorrt: the same for TensorRT. Without either, the newest JetPack counts.
        opset: an ONNX opset other than the one that suits the toolchain best.
        compute_capabilities: CUDA's, such as "8.6", for which an engine is built ahead of time; by
            default all that the device is known to run on.

    Raises:
        UnknownTarget: with the nearest name or the precisions of the device as the hint.
        BadArgument: the device does not run that version, or the toolchain does not read that
            opset, or the device has no use for compute capabilities.
    """
    found = place(name, jetpack=jetpack, tensorrt=tensorrt)
    device = found.device
    if found.precision is None:
        raise UnknownTarget(
            f"the target '{name}' names a device and no precision", hint=f"choose {_choice(device)}"
        )
    for target in of_device(device, found.toolchain):
        if target.precision == found.precision:
            target = target if opset is None else _with_opset(target, opset)
            return _for_gpus(target, compute_capabilities) if compute_capabilities else target
    raise UnknownTarget(
        f"kexport writes no {found.precision} for '{device.name}'",
        hint=f"choose {_choice(device)}",
    )


def _with_opset(target: Target, opset: int) -> Target:
    check_opset(opset)
    if target.rules is not None and opset > target.rules.opset_cap:
        raise BadArgument(
            f"{target.toolchain} reads opset {target.rules.opset_cap} at most, not {opset}",
            hint="leave out `toolchain.opset`, or name a newer `toolchain.jetpack` or "
            "`toolchain.tensorrt`",
        )
    return replace(target, opset=opset)


def _for_gpus(target: Target, compute_capabilities: Sequence[str]) -> Target:
    """Build ahead of time for these GPUs only; TensorRT-RTX itself says which it supports."""
    if not target.compute_capabilities:
        raise BadArgument(
            f"the engine for {target.device} is built on the device, for its own GPU",
            hint="leave out `toolchain.compute_capabilities`, or choose an rtx target",
        )
    for name in compute_capabilities:
        if not re.fullmatch(r"\d+\.\d", name):
            raise BadArgument(
                f"'{name}' is not a compute capability",
                hint=f"choose some of {', '.join(target.compute_capabilities)}",
            )
    return replace(target, compute_capabilities=tuple(compute_capabilities))


def place(name: str, *, jetpack: str | None = None, tensorrt: str | None = None) -> Platform:
    """Return the device and the toolchain that `name` and the versions denote.

    `name` is a device, or a device and any precision of its hardware, whether kexport writes that
    or not; the rest is as in `find`.
    """
    wanted = name.strip().casefold().replace("_", "-")
    by_name = {device.name: device for device in devices()}
    device, precision = by_name.get(wanted), None
    if device is None:
        head, _, precision = wanted.rpartition("-")
        device = by_name.get(head)
    if device is None:
        hint = did_you_mean(wanted, names()) or did_you_mean(wanted, by_name)
        raise UnknownTarget(
            f"unknown target '{name}'", hint=hint or "list them with: kexport targets"
        )
    known = _precision(device, precision)
    chosen = toolchain_choice.choose(device, toolchains(device), jetpack, tensorrt)
    return Platform(device, chosen, known)


def require_dla(platform: Platform) -> None:
    """Raise BadArgument if a device has no deep-learning accelerator that its TensorRT drives."""
    device = platform.device
    if not has_dla(device):
        others = [other.name for other in devices() if has_dla(other)]
        raise BadArgument(
            f"'{device.name}' has no deep-learning accelerator",
            hint=f"leave out `dla`, or choose {' or '.join(others)}",
        )
    if platform.toolchain is None or not platform.toolchain.rules.dla:
        drives = [chain.jetpack for chain in toolchains(device) if chain.rules.dla]
        raise BadArgument(
            f"{platform.toolchain} does not drive the deep-learning accelerator of '{device.name}'",
            hint=f"the newest that does is in `toolchain.jetpack='{drives[0]}'`",
        )


def has_dla(device: Device) -> bool:
    """Tell whether any module of that device has a deep-learning accelerator."""
    return any(module.dla_cores for module in device.modules or ())


def _precision(device: Device, name: str | None) -> Precision | None:
    """Return the precision called `name`, if the device's hardware has it."""
    if name is None:
        return None
    anything = get_args(Precision) if device.tensorrts else device.precisions
    for precision in device.hardware or anything:
        if precision == name:
            return precision
    if name in PRECISIONS and device.hardware is not None:
        reason = device.source["hardware"].rpartition("https:")[0].rstrip(": ")
        has = reason or f"it computes in {', '.join(device.hardware)}"
        nearest = min(device.precisions, key=lambda known: PRECISIONS.index(name) - _rank(known))
        raise UnknownTarget(
            f"'{device.name}' cannot run {name}: {has}",
            hint=f"the nearest that it can is {device.name}-{nearest}",
        )
    raise UnknownTarget(
        f"the device '{device.name}' has no precision '{name}'", hint=f"choose {_choice(device)}"
    )


def _rank(precision: Precision) -> int:
    return PRECISIONS.index(precision)


def _choice(device: Device) -> str:
    return " or ".join(f"{device.name}-{precision}" for precision in device.precisions)


def _rows(folder: str, read: Callable[[str, str], Row]) -> list[Row]:
    files = resources.files(__name__)
    found = (files / folder if folder else files).iterdir()
    toml = sorted((file for file in found if file.name.endswith(".toml")), key=lambda f: f.name)
    return [read(file.read_text(encoding="utf-8"), PurePath(file.name).stem) for file in toml]
