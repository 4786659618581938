"""`kexport models`: the list of Keras Applications."""

import json

import click

from kexport.cli.command import Command
from kexport.cli.options import as_json


@click.command(cls=Command)
@as_json
def models(as_json: bool) -> None:
    """List the Keras Applications, their sizes and their preprocessing."""
    from kexport.zoo import ZOO

    applications = list(ZOO.values())
    if as_json:
        rows = [
            {
                "name": application.name,
                "builder": application.builder,
                "size": application.size,
                "mode": application.mode,
                "inside": application.inside,
            }
            for application in applications
        ]
        click.echo(json.dumps({"models": rows}, indent=2))
        return
    from kexport.cli.tables.installation import applications_table
    from kexport.cli.tables.table import show

    show(applications_table(applications))
