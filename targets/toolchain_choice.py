"""Which toolchain a device runs: the one asked for, or the newest."""

from collections.abc import Mapping, Sequence

from kexport.errors import BadArgument
from kexport.targets.target import Device
from kexport.targets.toml_table import begins, matches, release
from kexport.targets.toolchain import JetPack, TensorRT, Toolchain

AGREE = {"JetPack": begins, "TensorRT": matches}
"""Whether a version that is asked for is one that is known. A row of TensorRT holds for its patch
releases too, so that more may be said of one than is known."""


def rules_of(version: str, rows: Sequence[TensorRT]) -> TensorRT:
    """The row that holds for a release of TensorRT such as "10.3.0"."""
    return next(row for row in rows if any(matches(version, known) for known in row.releases))


def toolchains(
    device: Device, jetpacks: Sequence[JetPack], rows: Sequence[TensorRT]
) -> tuple[Toolchain, ...]:
    """All that `device` can run, newest first; what comes with a JetPack before what is added."""
    if device.tensorrts is not None:
        by_name = {row.name: row for row in rows}
        known = (row for name in device.tensorrts for row in [by_name[name]])
        return tuple(Toolchain(version, row) for row in known for version in row.releases)[::-1]
    if device.rtx_releases is not None:
        rules = next(row for row in rows if row.name == device.rtx_rules)
        known_releases = reversed(device.rtx_releases)
        return tuple(Toolchain(name, rules, product="TensorRT-RTX") for name in known_releases)
    by_release = {version: row for row in jetpacks for version in row.releases}
    found = []
    for version in sorted(device.jetpacks or (), key=release, reverse=True):
        row = by_release[version]
        found.append(Toolchain(row.tensorrt, rules_of(row.tensorrt, rows), version, row))
        added = row.sbsa_tensorrt
        if added and row.sbsa_release == version and device.name in (row.sbsa_devices or ()):
            found.append(Toolchain(added, rules_of(added, rows), version, row))
    return tuple(found)


def choose(
    device: Device, known: Sequence[Toolchain], jetpack: str | None, tensorrt: str | None
) -> Toolchain | None:
    """The newest of the `known` toolchains of `device` that agrees with both prefixes.

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
        hint=f"choose `toolchain.tensorrt={with_it[0].tensorrt!r}`, or leave one of the two out",
    )


def _agrees(name: str, prefix: str | None, toolchain: Toolchain) -> bool:
    version = _version(toolchain, name)
    return prefix is None or (version is not None and AGREE[name](prefix, version))


def _check(device: Device, name: str, prefix: str, known: Sequence[Toolchain]) -> None:
    """Refuse a version that is none, and one that the device does not run."""
    argument = f"toolchain.{name.lower()}"
    versions = [v for v in (_version(toolchain, name) for toolchain in known) if v is not None]
    if not versions:
        raise BadArgument(
            f"'{device.name}' runs no {name}",
            hint=f"leave out `{argument}`, or choose a device with one: kexport targets",
        )
    if not all(part.isascii() and part.isdecimal() for part in prefix.split(".")):
        raise BadArgument(
            f"'{prefix}' is no version of {name}",
            hint=f"give one such as {versions[0]}",
        )
    if not any(AGREE[name](prefix, version) for version in versions):
        older = [version for version in versions if release(version) <= release(prefix)]
        nearest = max(older, key=release) if older else min(versions, key=release)
        raise BadArgument(
            f"{name} {prefix} is not known to run on '{device.name}'",
            hint=f"the nearest that does is `{argument}={nearest!r}`",
        )


def _version(toolchain: Toolchain, name: str) -> str | None:
    return toolchain.jetpack if name == "JetPack" else toolchain.tensorrt
