"""`kexport passes`: the passes that run for a target, in order."""

import json
from typing import TYPE_CHECKING, Any

import click

from kexport.cli import options
from kexport.cli.command import Command, Option

if TYPE_CHECKING:
    from kexport.passes.pipeline import Phase


@click.command(cls=Command)
@click.option(
    "--target",
    cls=Option,
    required=True,
    metavar="NAME",
    help="A target; `kexport targets` lists them.",
)
@options.jetpack
@options.tensorrt
@options.as_json
def passes(target: str, jetpack: str | None, tensorrt: str | None, as_json: bool) -> None:
    """List the graph passes that an export to a target runs, in order.

    The list is that of an image model with --top-k. A step marked with * is a measurement and not a
    pass: it runs images through the graph.
    """
    from kexport import targets
    from kexport.options.input_image import InputImage
    from kexport.passes.pipeline import GraphFormat, PassArguments, phases_for

    found = targets.find(target, jetpack=jetpack, tensorrt=tensorrt)
    every = PassArguments(images=(InputImage("none"),), top_k=("scores", 1))
    phases = [_entry(phase) for phase in phases_for(GraphFormat.of(found), every)]
    if as_json:
        toolchain = None if found.toolchain is None else str(found.toolchain)
        facts = {"target": found.name, "toolchain": toolchain, "opset": found.opset}
        click.echo(json.dumps({**facts, "phases": phases}, indent=2))
        return
    from kexport.cli.tables.passes import passes_table
    from kexport.cli.tables.table import show

    show(passes_table(phases))


def _entry(phase: "Phase") -> dict[str, Any]:
    passes = phase.passes
    steps = [
        {
            "name": step.name,
            "kind": "pass" if step in passes else "measurement",
            "purpose": step.purpose,
        }
        for step in phase.members
    ]
    return {"name": phase.name, "steps": steps}
