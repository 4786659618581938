"""`kexport export`: one model to one target."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kexport.cli import config as config_file
from kexport.cli import export_options, latency, model_options
from kexport.cli.arguments import as_options, options_by_argument
from kexport.cli.command import Command, Option
from kexport.cli.config import Config
from kexport.cli.messages import warn, warnings_as_lines
from kexport.cli.options import as_json
from kexport.cli.progress import progress
from kexport.cli.types import ModelName
from kexport.errors import BadArgument, ExportWarning, StoppedLate, did_you_mean

if TYPE_CHECKING:
    from kexport.api import Bundle
    from kexport.options.application import Recipe
    from kexport.options.calibration import Calibration
    from kexport.options.image_input import ImageInput
    from kexport.options.sampling import Sampling
    from kexport.options.task import Task
    from kexport.options.toolchain import Toolchain
    from kexport.targets import Target


def _read_config(
    context: click.Context, parameter: click.Parameter, value: Path | None
) -> Config | None:
    """Make the values of a config file the defaults of all options."""
    if context.params.get("no_config"):
        _refuse_both(context, value)
        return None
    path = value or config_file.find(Path())
    if path is None:
        return None
    config = config_file.read(path, context)
    context.default_map = dict(config.values)
    return config


def _ignore_config(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    if value:
        _refuse_both(context, context.params.get("config"))
    return value


def _refuse_both(context: click.Context, config: Path | Config | None) -> None:
    if config is not None:
        raise click.UsageError("--config and --no-config exclude each other", context)


@click.command(cls=Command)
@click.argument("model", type=ModelName())
@click.option(
    "--target",
    "-t",
    cls=Option,
    metavar="DEVICE-PRECISION",
    help="Where the model will run; see `kexport targets`. Required.",
)
@click.option(
    "--config",
    cls=Option,
    is_eager=True,
    callback=_read_config,
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="kexport.toml, if the current folder has one",
    help="TOML file with options; those on the command line take precedence.",
)
@click.option(
    "--no-config",
    cls=Option,
    is_flag=True,
    is_eager=True,
    callback=_ignore_config,
    help="Ignore the config file in the current folder.",
)
@model_options.MODEL
@model_options.IMAGE_INPUT
@model_options.TASK
@export_options.SAMPLING
@export_options.INT8
@export_options.TOOLCHAIN
@export_options.OUTPUT
@click.option("--quiet", "-q", cls=Option, is_flag=True, help="Show no progress.")
@as_json
def export(
    model: str,
    target: str | None,
    config: Config | None,
    no_config: bool,
    recipe: "Recipe",
    image_input: "ImageInput",
    task: "Task",
    sampling: "Sampling",
    calibration: "Calibration",
    toolchain: "Toolchain",
    written: Mapping[str, Any],
    quiet: bool,
    as_json: bool,
) -> None:
    """Export MODEL for a target, and prove that it still computes what Keras computes.

    MODEL is a Keras Application in any spelling (see `kexport models`) or a .keras or .h5 file.
    The result is a folder, the bundle: the model, its manifest, golden outputs and a runtime.
    """
    chosen = _target(target, model, toolchain)
    _refuse_early(
        model,
        chosen,
        recipe=recipe,
        image_input=image_input,
        task=task,
        calibration=calibration,
        sampling=sampling,
        **written,
    )
    bundle = None
    try:
        with warnings_as_lines(ExportWarning, _with_options), progress(quiet=quiet) as report:
            if config is not None:
                report(f"taking options from {config.path}")
            report("loading Keras")
            from kexport import api

            bundle = api.export(
                model,
                chosen,
                recipe=recipe,
                image_input=image_input,
                task=task,
                calibration=calibration,
                sampling=sampling,
                **written,
                progress=report,
            )
        _show(bundle, as_json=as_json)
    except KeyboardInterrupt as stop:
        if bundle is None:
            raise
        raise StoppedLate(f"the bundle was written, to {bundle.path}") from stop


def _refuse_early(model: str, target: "Target", **options: Any) -> None:
    """Refuse what is known to be wrong before Keras is loaded, which takes seconds."""
    from kexport.stages import request  # with it comes numpy

    request.prepare(model, target, **options)


def _with_options(text: str) -> str:
    """Put options in the place of the arguments that a warning names."""
    program = click.get_current_context().find_root().command
    return as_options(text, options_by_argument(cast(click.Group, program)))


def _show(bundle: "Bundle", *, as_json: bool) -> None:
    if bundle.speed is not None and bundle.speed.factor < 1:
        from kexport.cli.tables.table import milliseconds

        times = (milliseconds(one) for one in (bundle.speed.int8_ms, bundle.speed.float_ms))
        warn(f"int8 is slower than fp32 here: {', and '.join(times)} in fp32")
    trial = bundle.resize_trial
    if trial is not None and trial.is_clear and trial.chosen != trial.best:
        warn(
            f"images are resized as {trial.chosen}, and Keras itself has more right with "
            f"{trial.best}: {trial.accuracies[trial.best]:.1%} instead of "
            f"{trial.accuracies[trial.chosen]:.1%} of {trial.images}; "
            f"was it trained with --resize-outside {trial.best}?"
        )
    if as_json:
        document = {**bundle.manifest, "path": str(bundle.path)}
        if trial is not None:
            document["resize_trial"] = asdict(trial)
        if bundle.speed is not None:
            document["quantization"] = {
                **bundle.manifest["quantization"],
                "speed": asdict(bundle.speed),
            }
        if bundle.engine is not None:
            document["engine"] = asdict(bundle.engine)
        click.echo(json.dumps(document, indent=2))
        return
    from kexport.cli.tables.bundle import bundle_table, size_of
    from kexport.cli.tables.summary import summary
    from kexport.cli.tables.table import show

    if bundle.manifest["quantization"] is not None:
        click.echo(summary(bundle.manifest, size_of(bundle.manifest), bundle.speed))
        click.echo()
    known = (
        None if bundle.speed else latency.of_bundle(bundle.path, bundle.manifest["target"]["name"])
    )
    show(bundle_table(bundle.path, bundle.manifest, bundle.engine, trial, known))
    if bundle.manifest["quantization"] is not None:
        from kexport.cli.tables.int8 import tables

        for table in tables(bundle.manifest["quantization"], bundle.speed):
            click.echo()
            show(table)


def _target(name: str | None, model: str, toolchain: "Toolchain") -> "Target":
    """Return the target before anything heavy is loaded, so that a typing error costs no time."""
    from kexport import targets

    if name is not None:
        return targets.find(name, **asdict(toolchain))
    parent = click.get_current_context().parent
    commands = parent.command.commands if parent and isinstance(parent.command, click.Group) else ()
    raise BadArgument(
        f"no target given for '{model}'",
        hint=did_you_mean(model, commands)
        or f"choose where it will run, with `target` and one of: {', '.join(targets.names())}",
    )
