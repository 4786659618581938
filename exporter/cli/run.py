"""`kexport run`: classification of images with a bundle."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kexport.cli.command import Command, Option
from kexport.cli.messages import tell, warnings_as_lines
from kexport.cli.options import as_json


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option(
    "--top-k",
    "-k",
    cls=Option,
    type=click.IntRange(min=1),
    metavar="K",
    show_default="5, or as many as the bundle outputs",
    help="Number of classes to print.",
)
@as_json
def run(bundle: Path, images: tuple[Path, ...], top_k: int | None, as_json: bool) -> int:
    """Classify each IMAGE with BUNDLE.

    An IMAGE that cannot be read is reported and skipped; the exit status is then 15.
    """
    from kexport import runtime

    answers: list[dict[str, Any]] = []
    status = 0
    with warnings_as_lines():
        session = runtime.load(bundle)
        for image in images:
            try:
                found = session.classify(image, top_k=top_k)
                answers.append(
                    {"picture": str(image), "predictions": [asdict(row) for row in found]}
                )
            except runtime.BadImage as fault:
                tell(str(fault), fault.hint)
                answers.append({"picture": str(image), "error": str(fault)})
                status = fault.exit_code
    if as_json:
        click.echo(json.dumps({"path": str(bundle), "pictures": answers}, indent=2))
    elif any("predictions" in answer for answer in answers):
        from kexport.cli.tables.bundle import predictions_table, show

        show(predictions_table(answers))
    return status
