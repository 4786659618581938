"""`kexport targets`: the list of targets, and the facts about a device."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from kexport.cli import options
from kexport.cli.command import Command
from kexport.errors import BadArgument

if TYPE_CHECKING:
    from kexport.targets import Device, ToolchainRelease


@click.command(cls=Command)
@click.argument("name", required=False)
@options.jetpack
@options.tensorrt
@options.as_json
def targets(name: str | None, jetpack: str | None, tensorrt: str | None, as_json: bool) -> None:
    """List the targets, or print all that is known about the device NAME.

    With --jetpack or --tensorrt, print all that is known about that toolchain on the device.
    """
    from kexport import targets as known

    asked = jetpack is not None or tensorrt is not None
    if name is None:
        if asked:
            raise BadArgument(
                "a toolchain needs a device", hint="name one, such as: kexport targets trt"
            )
        chosen, toolchain = list(known.devices()), None
    else:
        platform = known.place(name, jetpack=jetpack, tensorrt=tensorrt)
        chosen, toolchain = [platform.device], platform.toolchain if asked else None
    if as_json:
        rows = [_entry(device, toolchain) for device in chosen]
        click.echo(json.dumps({"devices": rows}, indent=2))
        return
    from kexport.cli.tables import targets as tables
    from kexport.cli.tables.table import show

    if name is None:
        show(tables.devices_table(chosen))
    elif toolchain is not None:
        show(tables.toolchain_table(toolchain))
    else:
        show(tables.device_table(chosen[0]))
        if found := known.toolchains(chosen[0]):
            click.echo()
            show(tables.toolchains_table(found))


def _entry(device: "Device", toolchain: "ToolchainRelease | None") -> dict[str, Any]:
    from kexport.targets import of_device, toolchains

    chains = [asdict(toolchain)] if toolchain else [_summary(each) for each in toolchains(device)]
    targets = [target.name for target in of_device(device)]
    return {**asdict(device), "targets": targets, "toolchains": chains}


def _summary(toolchain: "ToolchainRelease") -> dict[str, Any]:
    """Return the facts that differ between toolchains; --jetpack and --tensorrt give all facts."""
    rules = toolchain.rules
    return {
        "jetpack": toolchain.jetpack,
        "tensorrt": toolchain.tensorrt,
        "opset": rules.opset,
        "opset_cap": rules.opset_cap,
        "uint8_input": rules.uint8_input,
    }
