"""`kexport check`: an ONNX file against the rules of a device's TensorRT."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from kexport.cli import options
from kexport.cli.command import Command, Option


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "-t",
    cls=Option,
    required=True,
    metavar="DEVICE[-PRECISION]",
    help="Where the model will run, such as jetson-orin.",
)
@options.jetpack
@options.tensorrt
@click.option(
    "--dla",
    cls=Option,
    heading="Toolchain",
    is_flag=True,
    help="Also check the rules of the deep-learning accelerator of a Jetson.",
)
@options.as_json
def check(
    model: Path, target: str, jetpack: str | None, tensorrt: str | None, dla: bool, as_json: bool
) -> int:
    """Check MODEL, any ONNX file, against the rules of a device's TensorRT.

    Nothing is run and no GPU is needed. Exit status 18 means that the device would refuse the model
    or compute something else.
    """
    from kexport import targets

    platform = targets.place(target, jetpack=jetpack, tensorrt=tensorrt)
    from kexport import lint as rules
    from kexport.errors import GraphRefused

    profiled = _has_build_program(model.parent)
    findings = rules.find(rules.open_onnx(model), platform, dla=dla, profiled=profiled)
    refused = any(finding.refuses for finding in findings)
    if as_json:
        report = {
            "model": str(model),
            "device": platform.device.name,
            "toolchain": str(platform.toolchain),
            "passed": not refused,
            "findings": [asdict(finding) for finding in findings],
        }
        click.echo(json.dumps(report, indent=2))
        return GraphRefused.exit_code if refused else 0
    from kexport.cli.tables.table import show
    from kexport.cli.tables.targets import findings_tables

    for table in findings_tables(model, platform, findings):
        show(table)
    rules.require(findings, str(model), platform)
    return 0


def _has_build_program(folder: Path) -> bool:
    """Whether the folder is a bundle whose build program gives an optimisation profile."""
    from kexport.runtime.errors import RuntimeFault
    from kexport.runtime.manifest import read_manifest

    try:
        return read_manifest(folder).builds_engine
    except RuntimeFault:
        return False
