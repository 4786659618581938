"""Options of `kexport export` about the model: its recipe, its images, and what it is for."""

from typing import Any, get_args

import click

from kexport.cli.by_input import chosen, declare_by_input, image_inputs
from kexport.cli.groups import Group, declare
from kexport.cli.types import (
    PathOr,
    image_shape,
    numbers,
    value_range,
    words,
)
from kexport.options.application import Recipe
from kexport.options.image_input import CROPS, DTYPES, FORMATS, LAYOUTS, RESIZES
from kexport.options.preprocessing import AUTO, MODES, RAW
from kexport.options.task import TASKS, BoxFormat, BoxUnits, Task


def _negated(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    return not value


def _name_or_none(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    return None if value == "none" else value


def _yes(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    return None if value is None else value == "yes"


MODEL = Group(
    "recipe",
    "Model",
    Recipe,
    {
        "weights": declare(
            "--weights",
            type=PathOr("imagenet", "random"),
            default="imagenet",
            metavar="imagenet|random|PATH",
            help="Weights of a Keras Application: trained on ImageNet, random, or from a file.",
        ),
        "include_top": declare(
            "--no-top",
            is_flag=True,
            callback=_negated,
            help="Leave out the classifier; the model then outputs features.",
        ),
        "pooling": declare(
            "--pooling",
            type=click.Choice(["avg", "max"]),
            show_default="no pooling",
            help="With --no-top, pool the features over height and width.",
        ),
        "classes": declare(
            "--classes",
            type=click.IntRange(min=1),
            metavar="N",
            show_default="1000",
            help="Number of classes of a Keras Application.",
        ),
        "input_shape": declare(
            "--input-shape",
            type=image_shape,
            metavar="H,W[,C]",
            show_default="the Application's own",
            help="Image size of a Keras Application; 3 channels unless given.",
        ),
        "activation": declare(
            "--activation",
            default="softmax",
            callback=_name_or_none,
            metavar="NAME|none",
            help="Activation of the classifier; none outputs logits.",
        ),
        "alpha": declare(
            "--alpha",
            type=float,
            metavar="A",
            show_default="1",
            help="Width multiplier of a MobileNet, such as 0.5.",
        ),
        "minimalistic": declare(
            "--minimalistic",
            is_flag=True,
            help="Build MobileNetV3 without squeeze-and-excite, hard-swish and 5x5 convolutions.",
        ),
        "depth_multiplier": declare(
            "--depth-multiplier",
            type=click.IntRange(min=1),
            metavar="N",
            show_default="1",
            help="Output channels of MobileNet's depthwise convolutions for each input channel.",
        ),
        "include_preprocessing": declare(
            "--no-preprocessing-layers",
            is_flag=True,
            callback=_negated,
            help="Build the Application without preprocessing layers; the bundle still "
            "preprocesses.",
        ),
        "preprocess": declare_by_input(
            "--preprocess",
            words=[*MODES, AUTO, RAW],
            callback=chosen,
            show_default="none if the model begins with preprocessing layers, or else required",
            help="Preprocessing that a model from a file was trained with; unit is x / 255, auto "
            "tries all on --eval-data, raw is for an input that is no image. For all image inputs, "
            "or for one by NAME; repeat the option.",
        ),
        "scale": declare(
            "--scale",
            type=numbers,
            metavar="X[,X,X]",
            show_default="1",
            help="Preprocess by (x * scale - mean) / std instead; one number, or one a channel.",
        ),
        "mean": declare(
            "--mean", type=numbers, metavar="X[,X,X]", show_default="0", help="See --scale."
        ),
        "std": declare(
            "--std", type=numbers, metavar="X[,X,X]", show_default="1", help="See --scale."
        ),
        "bgr": declare(
            "--bgr",
            is_flag=True,
            help="Reverse the channels first; --scale, --mean and --std are then for B, G, R.",
        ),
        "seed": declare(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="Seed of random weights, and of the images that Keras and the bundle are "
            "compared on.",
        ),
        "trust": declare(
            "--trust",
            is_flag=True,
            help="Run code that the model's file carries, such as a Lambda layer.",
        ),
    },
    prefix="recipe.",
)

IMAGE_INPUT = Group(
    "image_input",
    "Image input",
    image_inputs,
    {
        "format": declare_by_input(
            "--input-format",
            words=FORMATS,
            show_default="rgb, or gray for a model of one channel",
            help="Pixel format of the images. This and the next options are for all image inputs, "
            "or for one by NAME; repeat the option.",
        ),
        "layout": declare_by_input(
            "--layout",
            words=LAYOUTS,
            show_default="nhwc",
            help="Position of the channels: last (nhwc) or first (nchw).",
        ),
        "dtype": declare_by_input(
            "--input-dtype",
            words=DTYPES,
            show_default="uint8",
            help="Type of the pixel values, which are 0 to 255 in both.",
        ),
        "resize": declare_by_input(
            "--resize",
            words=RESIZES,
            show_default="no resize",
            help="Take images of any size, and resize them in the graph.",
        ),
        "crop": declare_by_input(
            "--crop",
            words=CROPS,
            show_default="no crop",
            help="Before --resize, crop the centre to the model's aspect ratio.",
        ),
        "resize_outside": declare_by_input(
            "--resize-outside",
            metavar="[NAME=]METHOD[,FIT]|auto",
            show_default="tf-bilinear, or pil-nearest for Applications",
            help="How the runtime resizes images that have not the model's size: as in training. "
            "METHOD names a library and its filter (docs/image-input.md), FIT is stretch, crop or "
            "pad; auto takes what is best for Keras on --eval-data.",
        ),
    },
    prefix="image_input.",
)

TASK = Group(
    "task",
    "Task",
    Task,
    {
        "name": declare(
            "--task",
            type=click.Choice(TASKS),
            show_default="what the model's last layer or the labels tell; else raw",
            help="What the outputs are for, and so what `kexport run` prints.",
        ),
        "threshold": declare(
            "--threshold",
            type=click.FloatRange(0, 1),
            metavar="X",
            show_default="0.5",
            help="Least score that means yes, with --task binary, multilabel, detect, or segment "
            "with one channel.",
        ),
        "palette": declare(
            "--palette",
            type=words,
            default="",
            metavar="#000000,#ff8000",
            show_default="that of PASCAL VOC",
            help="A colour for each class of a mask, with --task segment.",
        ),
        "range": declare(
            "--output-range",
            type=value_range,
            default="",
            metavar="BLACK,WHITE",
            show_default="0,1 after a sigmoid, -1,1 after a tanh",
            help="Values of black and white in the output, with --task image.",
        ),
        "box_format": declare(
            "--box-format",
            type=click.Choice(get_args(BoxFormat)),
            show_default="none; required for detect",
            help="How a box is written: corners, or a corner or the centre with width and height.",
        ),
        "box_units": declare(
            "--box-units",
            type=click.Choice(get_args(BoxUnits)),
            show_default="none; required for detect",
            help="Whether boxes are relative to the image that the model sees, or pixels of it.",
        ),
        "iou": declare(
            "--iou",
            type=click.FloatRange(0, 1),
            metavar="X",
            show_default="0.5",
            help="Largest overlap of two boxes of one class, with --task detect.",
        ),
        "from_logits": declare(
            "--from-logits",
            type=click.Choice(["yes", "no"]),
            callback=_yes,
            show_default="what the model's last layer tells",
            help="Whether the scores still need their softmax or sigmoid.",
        ),
    },
    prefix="task.",
)
