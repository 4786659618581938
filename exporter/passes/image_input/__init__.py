"""Image input of the graph: decoding, resizing and preprocessing of the image as it arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, remove, sole_user
from kexport.graph.emit import Emitter
from kexport.graph.passes import Pass
from kexport.graph.roles import role_of
from kexport.options.image_input import ImageInput
from kexport.options.input_image import IMAGE, InputImage
from kexport.options.preprocessing import Custom, Preprocessing
from kexport.passes.image_input.resize_and_layout import arrive, declare
from kexport.zoo import IMAGENET_DEVIATION, IMAGENET_MEAN


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """A preprocessing: channels in `order`, then x * scale + shift."""

    order: tuple[int, ...] | None
    scale: tuple[float, ...]
    shift: tuple[float, ...]


CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean of blue, green and red over ImageNet, of pixels in 0..255 (keras' imagenet_utils.py)."""

RECIPES = {
    "none": PixelRecipe(None, (1.0,), (0.0,)),
    "unit": PixelRecipe(None, (1 / 255,), (0.0,)),
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
"""x / 255, and `keras.applications.imagenet_utils.preprocess_input` by mode, on RGB in 0..255."""

NHWC = "NHWC"


def recipe_of(preprocessing: Preprocessing) -> PixelRecipe:
    """Return a preprocessing as a scale and a shift of each channel, in float64."""
    if not isinstance(preprocessing, Custom):
        return RECIPES[preprocessing]
    scale, mean, std = np.broadcast_arrays(
        *(np.asarray(each) for each in (preprocessing.scale, preprocessing.mean, preprocessing.std))
    )
    order = (2, 1, 0) if preprocessing.bgr else None
    return PixelRecipe(order, tuple((scale / std).tolist()), tuple((-mean / std).tolist()))


def image_input(*images: InputImage) -> Pass:
    """Return the pass for the preprocessing and the format of each image input of a graph."""

    @Pass
    def image_input(model: ir.Model) -> None:
        """Take images as they arrive, and decode, resize and preprocess them in the graph.

        Input float [N, H, W, C] ==> Input `image`, 0..255 -> decode -> resize -> Gather, Mul, Add

        Applies to each image input of a model; one that is not the only input keeps its name. The
        steps of the mode become part of the first Conv in
        `fuse_affine_into_conv` and `fuse_gray_to_rgb_into_conv` where that is exact. Values that
        are only moved stay uint8. Exact: decoding and resizing give the bytes or floats of OpenCV,
        Pillow and TensorFlow, up to the rounding of float32.
        """
        for image in images:
            _take(model.graph, image)

    return image_input


def _take(graph: ir.Graph, taken: InputImage) -> None:
    old = graph.inputs[taken.place]
    recipe = recipe_of(taken.mode)
    dims = list(old.shape or ())
    count = 1 if dims[3] == 1 else 3
    chosen = taken.pixels.of_channels(count)
    image = declare(dims, chosen, taken.name)
    graph.inputs[taken.place] = image
    laid_out = sole_user(old)
    order = NHWC if laid_out is None else _order_after(laid_out)
    replaced = old if laid_out is None or order == NHWC else laid_out.outputs[0]
    prefix = IMAGE if taken.name == IMAGE else f"{IMAGE}/{taken.name}"
    e = Emitter.at_start(graph, prefix)
    x = arrive(e, image, dims, chosen, order)
    channels = _channels(chosen, recipe, count)
    x = _preprocess(e, x, recipe, channels, order.index("C"), old.dtype or ir.DataType.FLOAT)
    x.shape = ir.Shape([dims[NHWC.index(axis)] for axis in order])
    replaced.replace_all_uses_with(x, replace_graph_outputs=True)
    if laid_out is not None and replaced is not old:
        remove(graph, laid_out)


def _order_after(node: ir.Node) -> str:
    """Return the order of an image's axes after `node`, which reads NHWC.

    A node that is no change of layout counts as NHWC. Conversion writes the transposition of a
    single channel as a Reshape.
    """
    if node.op_type == "Transpose":
        return "".join(NHWC[axis] for axis in attribute(node, "perm", []))
    read, written = ([*(value.shape or ())] for value in (node.inputs[0], node.outputs[0]) if value)
    if node.op_type == "Reshape" and written == [read[0], 1, *read[1:3]] and read[3:] == [1]:
        return "NCHW"
    return NHWC


def is_folded(pixels: ir.Value) -> bool:
    """Return whether scale and shift of the preprocessing are in the first weights.

    They are if every path from the input leads through layout, size and type conversions alone to
    a node with weights.
    """
    readers = [use.node for use in pixels.uses()]
    steps = [node for node in readers if _is_step(node)]
    return all(node in steps or _is_weighted(node) for node in readers) and all(
        is_folded(value) for node in steps for value in node.outputs
    )


def _is_weighted(node: ir.Node) -> bool:
    return node.op_type in ("Conv", "Gemm", "MatMul")


def _is_step(node: ir.Node) -> bool:
    return node.op_type in ("Cast", "Transpose") or _is_of_image_input(node)


def _is_of_image_input(node: ir.Node) -> bool:
    """Return whether a node has a role in the image input, or quantizes its result."""
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return role_of(node) is not None
    source = None if node.inputs[0] is None else node.inputs[0].producer()
    return source is not None and _is_of_image_input(source)


def _channels(pixels: ImageInput, recipe: PixelRecipe, count: int) -> tuple[int, ...]:
    """Return the channel of the image that each channel of the preprocessed image is."""
    order = recipe.order or tuple(range(count))
    if count == 1 or pixels.subsampled:
        return order
    stored = {"gray": (0, 0, 0), "bgr": (2, 1, 0), "bgra": (2, 1, 0)}
    return tuple(stored.get(pixels.form, (0, 1, 2))[channel] for channel in order)


def _preprocess(
    e: Emitter,
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

    x = e.cast(x, dtype)
    if channels != tuple(range(len(channels))):
        x = e("Gather", x, e.constant(channels, np.int64, "channels"), axis=axis)
    if any(scale != 1 for scale in recipe.scale):
        x = e("Mul", x, e.constant(per_channel(recipe.scale), dtype.numpy(), "scale"))
    if any(shift != 0 for shift in recipe.shift):
        x = e("Add", x, e.constant(per_channel(recipe.shift), dtype.numpy(), "shift"))
    return x
