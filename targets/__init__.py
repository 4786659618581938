"""The devices and toolchains that kexport knows: TOML files, read into frozen dataclasses."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TypeVar, get_args

from kexport.errors import BadArgument, UnknownTarget, did_you_mean
from kexport.targets import toolchain_choice
from kexport.targets.target import PRECISIONS, Device, Engine, Module, Precision, Target
from kexport.targets.target import read_device as _read_device
from kexport.targets.toml_table import release
from kexport.targets.toolchain import JetPack, TensorRT, Toolchain, read_jetpack, read_tensorrt

__all__ = [
    "Device",
    "Engine",
    "JetPack",
    "Module",
    "Platform",
    "Precision",
    "Target",
    "TensorRT",
    "Toolchain",
    "devices",
    "find",
    "has_dla",
    "jetpacks",
    "names",
    "of_device",
    "place",
    "platform",
    "require_dla",
    "tensorrts",
    "toolchains",
]

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Platform:
    """A device with a toolchain on it, and a precision where one was named."""

    device: Device
    toolchain: Toolchain | None
    precision: Precision | None


@cache
def devices() -> tuple[Device, ...]:
    """All devices, in alphabetical order."""
    return tuple(_rows("", _read_device))


@cache
def tensorrts() -> tuple[TensorRT, ...]:
    """The rules of all releases of TensorRT, oldest first."""
    rows = sorted(_rows("tensorrt", read_tensorrt), key=lambda row: release(row.name))
    operators: set[str] = set()
    complete = []
    for row in rows:
        operators |= set(row.operators)
        complete.append(replace(row, operators=tuple(sorted(operators))))
    return tuple(complete)


@cache
def jetpacks() -> tuple[JetPack, ...]:
    """All releases of JetPack, oldest first."""
    return tuple(sorted(_rows("jetpack", read_jetpack), key=lambda row: release(row.name)))


def toolchains(device: Device) -> tuple[Toolchain, ...]:
    """All toolchains that a device can run, the one to choose first."""
    return toolchain_choice.toolchains(device, jetpacks(), tensorrts())


def names() -> tuple[str, ...]:
    """The names of all targets, such as "trt-fp16", device by device."""
    return tuple(target.name for device in devices() for target in of_device(device))


def of_device(device: Device, toolchain: Toolchain | None = None) -> tuple[Target, ...]:
    """The device in each precision that kexport writes, for `toolchain` or for its newest."""
    known = toolchains(device)
    chosen = toolchain or (known[0] if known else None)
    return tuple(
        Target(
            name=f"{device.name}-{precision}",
            device=device.name,
            precision=precision,
            engine=device.engine,
            opset=_opset(device, chosen, precision),
            chosen=chosen,
            providers=device.providers,
            blocked_layout=device.blocked_layout,
            compute_capabilities=device.compute_capabilities,
            description=device.description,
        )
        for precision in device.precisions
    )


def _opset(device: Device, chosen: Toolchain | None, precision: Precision) -> int:
    opset = device.opset if chosen is None else chosen.rules.opset_of(precision)
    assert opset is not None, "a device without an opset has toolchains"
    return opset


def find(name: str, *, jetpack: str | None = None, tensorrt: str | None = None) -> Target:
    """Return the target called `name`; case is ignored, and `_` is as good as `-`.

    Args:
        name: `<device>-<precision>`.
        jetpack: the JetPack on the device, or the beginning of its version: "5.1" means the newest
            5.1.x that the device can run.
        tensorrt: the same for TensorRT. Without either, the newest JetPack counts.

    Raises:
        UnknownTarget: with the nearest name or the precisions of the device as the hint.
        BadArgument: the device does not run that version.
    """
    found = place(name, jetpack=jetpack, tensorrt=tensorrt)
    device = found.device
    if found.precision is None:
        raise UnknownTarget(
            f"the target '{name}' names a device and no precision", hint=f"choose {_choice(device)}"
        )
    for target in of_device(device, found.toolchain):
        if target.precision == found.precision:
            return target
    raise UnknownTarget(
        f"kexport writes no {found.precision} for '{device.name}'", hint=f"choose {_choice(device)}"
    )


def place(name: str, *, jetpack: str | None = None, tensorrt: str | None = None) -> Platform:
    """Return the device and the toolchain that `name` and the versions stand for.

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
            hint=f"the newest that does is in `toolchain.jetpack={drives[0]!r}`",
        )


def has_dla(device: Device) -> bool:
    """Whether a module of that name has a deep-learning accelerator."""
    return any(module.dla_cores for module in device.modules or ())


def platform(target: Target) -> Platform:
    """The device and toolchain of a target."""
    device = next(device for device in devices() if device.name == target.device)
    return Platform(device, target.chosen, target.precision)


def _precision(device: Device, name: str | None) -> Precision | None:
    """The precision called `name`, if the device's hardware has it."""
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
