"""`kexport doctor`: the state of the installation on this machine."""

import json
from dataclasses import asdict

import click

from kexport.cli import installation
from kexport.cli.command import Command
from kexport.cli.options import as_json
from kexport.errors import MissingDependency


@click.command(cls=Command)
@as_json
def doctor(as_json: bool) -> int:
    """Check this machine: packages, engines, known clashes."""
    checks = list(installation.all_checks())
    healthy = all(check.state == "ok" for check in checks if check.required)
    if as_json:
        report = {"healthy": healthy, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(report, indent=2))
    else:
        from kexport.cli.tables.installation import checks_table
        from kexport.cli.tables.table import show

        show(checks_table(checks))
    return 0 if healthy else MissingDependency.exit_code
