"""Let the graph take the picture that a camera or decoder gives, and preprocess it inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.passes.edit import attribute, numbers, sole_user

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """What `preprocess_input` does to a picture: channels in `order`, then x * scale + shift."""

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


def image_input(mode: str) -> Pass:
    """A pass that replaces the float input [N, H, W, C] by `image`, uint8 in 0..255, RGB.

    The steps of `mode` stand behind it as explicit nodes; `fold_before` puts them into the first
    convolution where that is exact.
    """
    recipe = RECIPES[mode]

    @Pass
    def image_input(model: ir.Model) -> None:
        graph = model.graph
        (old,) = graph.inputs
        image = ir.Value(name="image", type=ir.TensorType(ir.DataType.UINT8), shape=old.shape)
        graph.inputs[0] = image
        transpose = sole_user(old)
        if transpose is not None and transpose.op_type == "Transpose":
            transpose.replace_input_with(0, image)
            transpose.name = "image/Transpose"
            source, end = transpose.outputs[0], transpose
            source.name = "image/Transpose"
            source.type = ir.TensorType(ir.DataType.UINT8)
            axis = list(attribute(transpose, "perm", [])).index(3)
            readers = [(use.node, use.idx) for use in source.uses()]
        else:
            source, end, axis = image, None, 3
            readers = [(use.node, use.idx) for use in old.uses()]
        nodes = _steps(graph, source, recipe, axis, old.dtype or ir.DataType.FLOAT)
        if end is None:
            first = next(iter(graph), None)
            graph.insert_before(first, nodes) if first is not None else graph.extend(nodes)
        else:
            graph.insert_after(end, nodes)
        for node, index in readers:
            node.replace_input_with(index, nodes[-1].outputs[0])

    return image_input


def _steps(
    graph: ir.Graph, source: ir.Value, recipe: PixelRecipe, axis: int, dtype: ir.DataType
) -> list[ir.Node]:
    rank = len(source.shape or ())
    nodes = [ir.node("Cast", [source], {"to": dtype.value}, name="image/Cast")]

    def then(op_type: str, name: str, operand: Array, **attributes: int) -> None:
        value = numbers(graph, f"image/{name}", operand)
        last = nodes[-1].outputs[0]
        nodes.append(ir.node(op_type, [last, value], attributes, name=f"image/{op_type}"))

    def per_channel(values: tuple[float, ...]) -> Array:
        array = np.asarray(values, dtype.numpy())
        if array.size == 1:
            return array.reshape(())
        return array.reshape([-1 if i == axis else 1 for i in range(axis, rank)])

    if recipe.order is not None:
        then("Gather", "channels", np.asarray(recipe.order, np.int64), axis=axis)
    if any(scale != 1 for scale in recipe.scale):
        then("Mul", "scale", per_channel(recipe.scale))
    if any(shift != 0 for shift in recipe.shift):
        then("Add", "shift", per_channel(recipe.shift))
    for node in nodes:
        node.outputs[0].name = node.name
        node.outputs[0].type = ir.TensorType(dtype)
        node.outputs[0].shape = _transposed_shape(source)
    return nodes


def _transposed_shape(source: ir.Value) -> ir.Shape | None:
    return None if source.shape is None else ir.Shape(list(source.shape))
