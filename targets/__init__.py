"""The devices that kexport knows: one TOML file a device, read into frozen dataclasses."""

from functools import cache
from importlib import resources
from pathlib import PurePath

from kexport.errors import UnknownTarget, did_you_mean
from kexport.targets.target import Device, Engine, Precision, Target, read_device

__all__ = ["Device", "Engine", "Precision", "Target", "devices", "find", "names"]


@cache
def devices() -> tuple[Device, ...]:
    """All devices, in alphabetical order."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")]
    return tuple(
        read_device(file.read_text(encoding="utf-8"), PurePath(file.name).stem)
        for file in sorted(files, key=lambda file: file.name)
    )


def names() -> tuple[str, ...]:
    """The names of all targets, such as "trt-fp16", device by device."""
    return tuple(target.name for device in devices() for target in device.targets)


def find(name: str) -> Target:
    """Return the target called `name`; case is ignored, and `_` is as good as `-`.

    Raises UnknownTarget, with the nearest name or the precisions of the device as the hint.
    """
    wanted = name.strip().casefold().replace("_", "-")
    for device in devices():
        for target in device.targets:
            if target.name == wanted:
                return target
    raise _unknown(name, wanted)


def _unknown(name: str, wanted: str) -> UnknownTarget:
    by_name = {device.name: device for device in devices()}
    if device := by_name.get(wanted):
        return UnknownTarget(
            f"the target '{name}' names a device and no precision", hint=f"say {_choice(device)}"
        )
    head, _, precision = wanted.rpartition("-")
    if device := by_name.get(head):
        return UnknownTarget(
            f"the device '{head}' has no precision '{precision}'", hint=f"say {_choice(device)}"
        )
    hint = did_you_mean(wanted, names()) or did_you_mean(wanted, by_name)
    return UnknownTarget(
        f"no target is called '{name}'", hint=hint or "list them with: kexport targets"
    )


def _choice(device: Device) -> str:
    return " or ".join(target.name for target in device.targets)
