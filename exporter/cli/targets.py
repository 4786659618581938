"""`kexport targets`: the devices, and what is known of one of them."""

import json
from dataclasses import asdict

import click

from kexport.cli.options import as_json


@click.command()
@click.argument("name", required=False)
@as_json
def targets(name: str | None, as_json: bool) -> None:
    """List the targets, or tell all about the one called NAME."""
    from kexport import targets as known

    chosen = list(known.devices())
    if name is not None:
        by_name = {device.name: device for device in chosen}
        chosen = [by_name.get(name.casefold()) or by_name[known.find(name).device]]
    if as_json:
        rows = [
            {**asdict(device), "targets": [target.name for target in device.targets]}
            for device in chosen
        ]
        click.echo(json.dumps({"devices": rows}, indent=2))
        return
    from kexport.cli.tables import device_table, devices_table, show

    show(devices_table(chosen) if name is None else device_table(chosen[0]))
