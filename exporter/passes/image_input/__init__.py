"""Let the graph take the image that a camera or decoder gives, and preprocess it inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, remove, sole_user
from kexport.graph.emit import Steps
from kexport.graph.passes import Pass
from kexport.options.image_input import ImageInput
from kexport.passes.image_input.resize_and_layout import arrive, declare


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """What `preprocess_input` does to an image: channels in `order`, then x * scale + shift."""

    order: tuple[int, ...] | None
    scale: tuple[float, ...]
    shift: tuple[float, ...]


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)

RECIPES = {
    "none": PixelRecipe(None, (1.0,), (0.0,)),
    "tf": PixelRecipe(None, (1 / 127.5,), (-1.0,)),
    "caffe": PixelRecipe((2, 1, 0), (1.0,), tuple(-mean for mean in CAFFE_MEAN)),
    "torch": PixelRecipe(
        None,
        tuple(1 / (255 * deviation) for deviation in IMAGENET_DEVIATION),
        tuple(
            -mean / deviation
            for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
        ),
    ),
}
"""`keras.applications.imagenet_utils.preprocess_input`, mode by mode, on RGB in 0..255."""

NHWC = "NHWC"

ARRIVING = ("image/decode/", "image/grey/", "image/positions/", "image/resize/")
"""How the names of nodes begin that bring an image to the model's format and size."""


def image_input(mode: str, pixels: ImageInput | None = None) -> Pass:
    """A pass that replaces the float input [N, H, W, C] by `image`, in 0..255, as `pixels` say.

    Nodes that decode the format come after it, then the steps of `mode`. Later passes fuse these
    into the first convolution where that is exact: `fuse_affine_into_conv` scale, shift and channel
    order, `fuse_gray_to_rgb_into_conv` the repeated channel of a grey image. Values stay uint8 for
    as long as they are only moved.
    """
    recipe = RECIPES[mode]

    @Pass
    def image_input(model: ir.Model) -> None:
        graph = model.graph
        (old,) = graph.inputs
        dims = list(old.shape or ())
        count = 1 if dims[3] == 1 else 3
        chosen = (pixels or ImageInput()).of_channels(count)
        image = declare(dims, chosen)
        graph.inputs[0] = image
        laid_out = sole_user(old)
        order = NHWC if laid_out is None else _order_behind(laid_out)
        replaced = old if laid_out is None or order == NHWC else laid_out.outputs[0]
        e = Steps(graph)
        x = arrive(e, image, dims, chosen, order)
        channels = _channels(chosen, recipe, count)
        x = _preprocess(e, x, recipe, channels, order.index("C"), old.dtype or ir.DataType.FLOAT)
        x.shape = ir.Shape([dims[NHWC.index(axis)] for axis in order])
        e.insert()
        replaced.replace_all_uses_with(x, replace_graph_outputs=True)
        if laid_out is not None and replaced is not old:
            remove(graph, laid_out)

    return image_input


def _order_behind(node: ir.Node) -> str:
    """The order of an image's axes behind `node`, which reads NHWC; NHWC where it computes.

    Conversion spells the transposition of a single channel as a Reshape.
    """
    if node.op_type == "Transpose":
        return "".join(NHWC[axis] for axis in attribute(node, "perm", []))
    read, written = ([*(value.shape or ())] for value in (node.inputs[0], node.outputs[0]) if value)
    if node.op_type == "Reshape" and written == [read[0], 1, *read[1:3]] and read[3:] == [1]:
        return "NCHW"
    return NHWC


def is_folded(pixels: ir.Value) -> bool:
    """Whether the first weights read the image itself, once it has their layout, size and type.

    Scale and shift of the mode are then in these weights.
    """
    return all(_is_step(use.node) or _is_weighted(use.node) for use in pixels.uses()) and all(
        is_folded(value)
        for use in pixels.uses()
        if _is_step(use.node)
        for value in use.node.outputs
    )


def _is_weighted(node: ir.Node) -> bool:
    return node.op_type in ("Conv", "Gemm", "MatMul")


def _is_step(node: ir.Node) -> bool:
    return node.op_type in ("Cast", "Transpose") or (node.name or "").startswith(ARRIVING)


def _channels(pixels: ImageInput, recipe: PixelRecipe, count: int) -> tuple[int, ...]:
    """Which channel of the image each one of the model is, once in the recipe's order."""
    order = recipe.order or tuple(range(count))
    if count == 1 or pixels.subsampled:
        return order
    stored = {"gray": (0, 0, 0), "bgr": (2, 1, 0), "bgra": (2, 1, 0)}
    return tuple(stored.get(pixels.form, (0, 1, 2))[channel] for channel in order)


def _preprocess(
    e: Steps,
    x: ir.Value,
    recipe: PixelRecipe,
    channels: tuple[int, ...],
    axis: int,
    dtype: ir.DataType,
) -> ir.Value:
    rank = len(x.shape or ())

    def per_channel(values: tuple[float, ...]) -> Array:
        array = np.asarray(values)
        if array.size == 1:
            return array.reshape(())
        return array.reshape([-1 if i == axis else 1 for i in range(axis, rank)])

    x = e.cast("Cast", x, dtype)
    if channels != tuple(range(len(channels))):
        x = e("Gather", "Gather", x, e.constant("channels", channels, np.int64), axis=axis)
    if any(scale != 1 for scale in recipe.scale):
        x = e("Mul", "Mul", x, e.constant("scale", per_channel(recipe.scale), dtype.numpy()))
    if any(shift != 0 for shift in recipe.shift):
        x = e("Add", "Add", x, e.constant("shift", per_channel(recipe.shift), dtype.numpy()))
    return x
