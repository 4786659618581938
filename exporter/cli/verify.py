"""`kexport verify`: the files and the golden outputs of a bundle."""

import json
from pathlib import Path

import click

from kexport.cli import latency
from kexport.cli.command import Command
from kexport.cli.messages import warnings_as_lines
from kexport.cli.options import as_json
from kexport.errors import ParityFailed


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@as_json
def verify(bundle: Path, as_json: bool) -> int:
    """Check the files and the golden outputs of BUNDLE, without Keras."""
    from kexport import runtime

    with warnings_as_lines():
        verification = runtime.verify(bundle)
    if as_json:
        click.echo(json.dumps({**verification.as_dict(), "path": str(bundle)}, indent=2))
        return 0 if verification.passed else ParityFailed.exit_code
    from kexport.cli.tables.answers import verification_table
    from kexport.cli.tables.table import show

    known = latency.of_bundle(bundle, verification.target) if verification.passed else None
    show(verification_table(bundle, verification, known))
    if verification.passed:
        return 0
    raise ParityFailed(
        f"{bundle} does not compute its golden outputs on this machine",
        hint="see which engine and provider run it with: kexport doctor",
    )
