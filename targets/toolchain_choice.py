"""Choice of a device's toolchain: the requested one, or the newest."""

from collections.abc import Mapping, Sequence

from kexport.errors import BadArgument
from kexport.targets.target import Device
from kexport.targets.toml_table import begins, matches, release
from kexport.targets.toolchain import JetPack, TensorRT, ToolchainRelease

AGREE = {"JetPack": begins, "TensorRT": matches}
"""How a requested version is compared with a known one. A row of TensorRT covers its patch releases
too, so a request may be longer than the known version."""


def rules_of(version: str, rows: Sequence[TensorRT]) -> TensorRT:
    """Return the row that covers a release of TensorRT such as "10.3.0"."""
    return next(row for row in rows if any(matches(version, known) for known in row.releases))


def toolchains(
    device: Device, jetpacks: Sequence[JetPack], rows: Sequence[TensorRT]
) -> tuple[ToolchainRelease, ...]:
    """Return all that `device` can run, newest first; a JetPack's own before an added one."""
    if device.tensorrts is not None:
        by_name = {row.name: row for row in rows}
        known = (row for name in device.tensorrts for row in [by_name[name]])
        return tuple(ToolchainRelease(version, row) for row in known for version in row.releases)[
            ::-1
        ]
    if device.rtx_releases is not None:
        rules = next(row for row in rows if row.name == device.rtx_rules)
        known_releases = reversed(device.rtx_releases)
        return tuple(
            ToolchainRelease(name, rules, product="TensorRT-RTX") for name in known_releases
        )
    by_release = {version: row for row in jetpacks for version in row.releases}
    found = []
    for version in sorted(device.jetpacks or (), key=release, reverse=True):
        row = by_release[version]
        found.append(ToolchainRelease(row.tensorrt, rules_of(row.tensorrt, rows), version, row))
        added = row.sbsa_tensorrt
        if added and row.sbsa_release == version and device.name in (row.sbsa_devices or ()):
            found.append(ToolchainRelease(added, rules_of(added, rows), version, row))
    return tuple(found)


def choose(
    device: Device, known: Sequence[ToolchainRelease], jetpack: str | None, tensorrt: str | None
) -> ToolchainRelease | None:
    """Return the newest of the `known` toolchains of `device` that matches both prefixes.

    Raises BadArgument with the nearest that the device runs. A device without toolchains has none,
    and a prefix for it is refused too.
    """
    wanted: Mapping[str, str | None] = {"JetPack": jetpack, "TensorRT": tensorrt}
    for name, prefix in wanted.items():
        if prefix is not None:
            _check(device, name, prefix, known)
    for toolchain in known:
        if all(_agrees(name, prefix, toolchain) for name, prefix in wanted.items()):
            return toolchain
    if not known:
        return None
    with_it = [toolchain for toolchain in known if _agrees("JetPack", jetpack, toolchain)]
    raise BadArgument(
        f"JetPack {jetpack} on '{device.name}' has no TensorRT {tensorrt}",
        hint=f"say `toolchain.tensorrt='{with_it[0].tensorrt}'`, or leave one of the two out",
    )


def _agrees(name: str, prefix: str | None, toolchain: ToolchainRelease) -> bool:
    version = _version(toolchain, name)
    return prefix is None or (version is not None and AGREE[name](prefix, version))


def _check(device: Device, name: str, prefix: str, known: Sequence[ToolchainRelease]) -> None:
    """Refuse text that is not a version, and a version that the device does not run."""
    argument = f"toolchain.{name.lower()}"
    versions = [v for v in (_version(toolchain, name) for toolchain in known) if v is not None]
    if not versions:
        raise BadArgument(
            f"'{device.name}' runs no {name}",
            hint=f"leave out `{argument}`, or choose a device with one: kexport targets",
        )
    if not all(part.isascii() and part.isdecimal() for part in prefix.split(".")):
        raise BadArgument(
            f"'{prefix}' is not a version of {name}",
            hint=f"give one such as {versions[0]}",
        )
    if not any(AGREE[name](prefix, version) for version in versions):
        older = [version for version in versions if release(version) <= release(prefix)]
        nearest = max(older, key=release) if older else min(versions, key=release)
        raise BadArgument(
            f"{name} {prefix} is not known to run on '{device.name}'",
            hint=f"the nearest that does is `{argument}={nearest!r}`",
        )


def _version(toolchain: ToolchainRelease, name: str) -> str | None:
    return toolchain.jetpack if name == "JetPack" else toolchain.tensorrt
