"""Options of `kexport export` about what is written, one group for each heading of its help."""

from typing import Any

import click

from kexport.cli.groups import Group, declare
from kexport.cli.options import JETPACK, TENSORRT
from kexport.cli.types import (
    PathOr,
    batch_size,
    input_range,
    positive,
    share,
    words,
)
from kexport.options.calibration import METHODS, Calibration
from kexport.options.sampling import Sampling
from kexport.options.toolchain import Toolchain


def _by_name(context: click.Context, parameter: click.Parameter, pairs: Any) -> dict[str, Any]:
    return dict(pairs)


SAMPLING = Group(
    "sampling",
    "Comparison with Keras",
    Sampling,
    {
        "samples": declare(
            "--samples",
            type=PathOr(),
            metavar="FILE.npz|DIR",
            show_default="drawn",
            help="Your own samples, up to 32, to compare the bundle with Keras on: an array for "
            "each input, a folder of images, or a folder with a subfolder for each input. They "
            "become part of the bundle.",
        ),
        "ranges": declare(
            "--input-range",
            type=input_range,
            multiple=True,
            callback=_by_name,
            metavar="NAME=LOW,HIGH",
            show_default="a standard normal distribution, or as the first layers tell",
            help="The lowest and highest value of an input that takes numbers, in which they are "
            "drawn. Repeat the option for each.",
        ),
    },
    prefix="sampling.",
)

INT8 = Group(
    "calibration",
    "INT8",
    Calibration,
    {
        "data": declare(
            "--calibration-data",
            type=PathOr(),
            metavar="DIR|FILE",
            help="Images like those on the device: a folder, a .npz or a .npy file; for several "
            "inputs a folder with a subfolder for each, or a .npz file. Required for int8.",
        ),
        "method": declare(
            "--calibration-method",
            type=click.Choice(METHODS),
            default="mse",
            help="How the range of each tensor is estimated.",
        ),
        "cache": declare(
            "--calibration-cache",
            type=PathOr(),
            metavar="FILE",
            show_default="no cache",
            help="File of estimated ranges: read if it exists, written otherwise.",
        ),
        "max_drop": declare(
            "--max-drop",
            type=share,
            default=0.01,
            metavar="X",
            help="Share of the images that int8 may classify differently from Keras or, with "
            "--eval-data, what it may lose of the task's measure, such as top-1 accuracy.",
        ),
        "int8_share": declare(
            "--int8-share",
            type=share,
            default=0.5,
            metavar="S",
            help="Smallest share of the multiply-adds that stays in int8 while sensitive layers "
            "return to float.",
        ),
        "eval_data": declare(
            "--eval-data",
            type=PathOr(),
            metavar="DIR|FILE",
            show_default="three fifths of the calibration data",
            help="Labelled images to measure the model on: one subfolder for each class, or what "
            "the task has (docs/tasks.md).",
        ),
        "ship_images": declare(
            "--ship-images",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            show_default="none, golden images are drawn",
            help="Put N of the images that judge int8 into the bundle, as golden images that every "
            "device verifies.",
        ),
        "require_speedup": declare(
            "--require-speedup",
            type=positive,
            metavar="X",
            show_default="any speed",
            help="Refuse int8 that is less than X times as fast as fp32 on this machine.",
        ),
    },
    prefix="calibration.",
)

TOOLCHAIN = Group(
    "toolchain",
    "Toolchain",
    Toolchain,
    {
        "jetpack": JETPACK,
        "tensorrt": TENSORRT,
        "opset": declare(
            "--opset",
            type=click.IntRange(min=1),
            metavar="N",
            show_default="the target's",
            help="ONNX opset of the model.",
        ),
        "compute_capabilities": declare(
            "--compute-capabilities",
            type=words,
            default="",
            metavar="8.6,8.9",
            show_default="all that are known",
            help="GPUs that the engine of an rtx target is built for.",
        ),
    },
    prefix="toolchain.",
)

OUTPUT = Group(
    "written",
    "Output",
    dict,
    {
        "output": declare(
            "--output",
            "-o",
            type=PathOr(),
            metavar="DIR",
            show_default="MODEL-TARGET",
            help="Folder of the bundle.",
        ),
        "force": declare("--force", is_flag=True, help="Replace a bundle that exists."),
        "batch": declare(
            "--batch",
            type=batch_size,
            default=1,
            metavar="N|dynamic",
            help="Images in a batch; dynamic takes any number.",
        ),
        "output_layers": declare(
            "--output-layer",
            multiple=True,
            metavar="NAME",
            show_default="the model's outputs",
            help="Output this layer. Repeat the option for several.",
        ),
        "top_k": declare(
            "--top-k",
            type=click.IntRange(min=1),
            metavar="K",
            show_default="the scores of all classes",
            help="Output the K best classes, as indices and scores.",
        ),
        "labels": declare(
            "--labels",
            type=PathOr("imagenet", exists=True),
            metavar="FILE|DIR|imagenet",
            show_default="imagenet for Applications with its classes",
            help="Class names in the order of the outputs: a text file with one a line, .json, "
            ".csv, or a training folder with one subfolder for each class.",
        ),
        "layout_triton": declare(
            "--layout-triton",
            type=PathOr(),
            metavar="DIR",
            show_default="none",
            help="Also put the model into this model repository of Triton Inference Server.",
        ),
        "timestamps": declare(
            "--timestamps",
            is_flag=True,
            help="Record dates and durations; the same command then writes different bytes each "
            "time.",
        ),
    },
)
