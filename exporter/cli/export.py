"""`kexport export`: one model to one target."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kexport.cli import options
from kexport.cli.messages import warn
from kexport.cli.progress import progress
from kexport.errors import BadArgument, StoppedLate, did_you_mean
from kexport.zoo import Mode

if TYPE_CHECKING:
    from kexport.api import Bundle
    from kexport.options.image_input import ImageInput
    from kexport.targets import Target


@click.command()
@click.argument("model")
@click.option("--target", "-t", metavar="DEVICE-PRECISION", help="Where it will run. Required.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The bundle's folder.  [default: MODEL-TARGET]",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|random|PATH",
    help="An Application's weights.",
)
@click.option("--no-top", is_flag=True, help="Leave out the classifier; the output is features.")
@click.option("--pooling", type=click.Choice(["avg", "max"]), help="Pool the features.")
@click.option("--classes", type=click.IntRange(min=1), metavar="N", help="Number of classes.")
@click.option(
    "--input-shape", callback=options.shape, metavar="H,W[,C]", help="Another image size."
)
@click.option(
    "--activation",
    default="softmax",
    show_default=True,
    metavar="NAME|none",
    help="The classifier's activation; none gives logits.",
)
@click.option("--alpha", type=float, metavar="A", help="A MobileNet's width, such as 0.5.")
@click.option("--minimalistic", is_flag=True, help="MobileNetV3 without its costly parts.")
@click.option(
    "--depth-multiplier",
    type=click.IntRange(min=1),
    metavar="N",
    help="MobileNet's outputs of each depthwise channel.",
)
@click.option(
    "--no-preprocessing-layers",
    is_flag=True,
    help="Build without them; the graph preprocesses all the same.",
)
@click.option(
    "--output-layer",
    "output_layers",
    multiple=True,
    metavar="NAME",
    help="Give this layer's output instead. Repeatable.",
)
@click.option(
    "--preprocess",
    type=click.Choice(["tf", "caffe", "torch", "none"]),
    help="The preprocessing that a model of one's own was trained with.",
)
@options.pixels
@options.top_k
@click.option(
    "--batch",
    callback=options.batch,
    default="1",
    show_default=True,
    metavar="N|dynamic",
    help="Images at once.",
)
@click.option(
    "--labels",
    callback=options.labels,
    metavar="FILE|DIR|imagenet",
    help="One label a line; or a training folder, with one subfolder for each class.",
)
@options.calibration
@options.jetpack
@options.tensorrt
@options.compute_capabilities
@click.option("--opset", type=click.IntRange(min=1), metavar="N", help="Another ONNX opset.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of random weights and of the images.",
)
@click.option(
    "--layout-triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Put the model into a model repository of Triton Inference Server too.",
)
@click.option("--force", is_flag=True, help="Replace the bundle that is there.")
@click.option("--trust", is_flag=True, help="Run code that the model's file carries (Lambda).")
@click.option("--timestamps", is_flag=True, help="Record times; bundles then differ each time.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@options.as_json
def export(
    model: str,
    target: str | None,
    output: Path | None,
    weights: str,
    no_top: bool,
    pooling: str | None,
    classes: int | None,
    input_shape: tuple[int, int, int] | None,
    activation: str,
    alpha: float | None,
    minimalistic: bool,
    depth_multiplier: int | None,
    no_preprocessing_layers: bool,
    output_layers: tuple[str, ...],
    preprocess: Mode | None,
    pixels: "ImageInput",
    top_k: int | None,
    batch: options.Batch,
    labels: str | None,
    calibration: dict[str, Any],
    jetpack: str | None,
    tensorrt: str | None,
    compute_capabilities: tuple[str, ...],
    opset: int | None,
    seed: int,
    layout_triton: Path | None,
    force: bool,
    trust: bool,
    timestamps: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export MODEL for a target, and prove that nothing was lost.

    MODEL is a Keras Application in any spelling (see `kexport models`) or a .keras or .h5 file.
    The result is a folder, the bundle: the model, its manifest, golden outputs and a runtime.
    """
    chosen = _target(target, model, jetpack, tensorrt, opset, compute_capabilities)
    bundle = None
    try:
        with progress(quiet=quiet) as report:
            report("loading Keras")
            from kexport import api
            from kexport.options.application import Recipe
            from kexport.options.calibration import Calibration

            recipe = Recipe(
                weights=weights,
                include_top=not no_top,
                pooling=pooling,
                classes=classes,
                input_shape=input_shape,
                activation=None if activation == "none" else activation,
                alpha=alpha,
                minimalistic=minimalistic,
                depth_multiplier=depth_multiplier,
                include_preprocessing=not no_preprocessing_layers,
                preprocess=preprocess,
                seed=seed,
                trust=trust,
            )
            bundle = api.export(
                model,
                chosen,
                output=output,
                recipe=recipe,
                batch=batch,
                labels=labels,
                output_layers=output_layers,
                image_input=pixels,
                top_k=top_k,
                layout_triton=layout_triton,
                calibration=Calibration(**calibration),
                force=force,
                timestamps=timestamps,
                progress=report,
            )
        _say(bundle, as_json=as_json)
    except KeyboardInterrupt as stop:
        if bundle is None:
            raise
        raise StoppedLate(f"the bundle was written, to {bundle.path}") from stop


def _say(bundle: "Bundle", *, as_json: bool) -> None:
    if bundle.speed is not None and bundle.speed.factor < 1:
        warn(
            f"int8 is slower than fp32 here: {bundle.speed.int8_ms:.2f} ms, and "
            f"{bundle.speed.float_ms:.2f} ms in fp32"
        )
    if as_json:
        document = {**bundle.manifest, "path": str(bundle.path)}
        if bundle.speed is not None:
            document["quantization"] = {
                **bundle.manifest["quantization"],
                "speed": asdict(bundle.speed),
            }
        if bundle.engine is not None:
            document["engine"] = asdict(bundle.engine)
        click.echo(json.dumps(document, indent=2))
        return
    from kexport.cli.tables.bundle import bundle_table, show

    show(bundle_table(bundle.path, bundle.manifest, bundle.engine))
    if bundle.manifest["quantization"] is not None:
        from kexport.cli.tables.int8 import tables

        for table in tables(bundle.manifest["quantization"], bundle.speed):
            click.echo()
            show(table)


def _target(
    name: str | None,
    model: str,
    jetpack: str | None,
    tensorrt: str | None,
    opset: int | None,
    compute_capabilities: tuple[str, ...],
) -> "Target":
    """Return the target before anything heavy is loaded, so that a misprint costs no time."""
    from kexport import targets

    if name is not None:
        return targets.find(
            name,
            jetpack=jetpack,
            tensorrt=tensorrt,
            opset=opset,
            compute_capabilities=compute_capabilities,
        )
    commands = ("check", "doctor", "export", "models", "run", "targets", "verify")
    raise BadArgument(
        f"no target given for '{model}'",
        hint=did_you_mean(model, commands)
        or f"say where it will run, with --target and one of: {', '.join(targets.names())}",
    )
