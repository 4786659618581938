"""image_input with formats: decoding, cropping and resizing in the graph."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from keras import layers
from phases import lower, simplify
from PIL import Image
from support import assert_near, keras_answers, onnx_answers, operators, randomise

from kexport.conversion import convert_model
from kexport.options.image_input import DTYPES, FORMATS, LAYOUTS, RESIZES, ImageInput
from kexport.passes import pipeline
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare
from kexport.source.synthetic_images import draw_images

Array = np.ndarray[Any, Any]
SIZE = (12, 16)


def graph_of(first: Any, pixels: ImageInput, channels: int = 3, mode: str = "none") -> ir.Model:
    x = keras.Input((*SIZE, channels))
    converted = convert_model(randomise(keras.Model(x, first(x)))).model
    return pipeline.run(converted, simplify(mode, None, pixels)).model


def through(pixels: ImageInput, channels: int = 3) -> ir.Model:
    """Build a model whose output is its image."""
    return graph_of(layers.ReLU(negative_slope=1.0), pixels, channels)


def arriving(pixels: ImageInput, height: int, width: int) -> Array:
    drawn = draw_images(2, height, width, channels=1 if pixels.form == "gray" else 3)
    raw = [encode(image, pixels.color, pixels.layout.upper(), pixels.dtype) for image in drawn]
    return np.stack(raw)


def valid() -> list[ImageInput]:
    rows = itertools.product(FORMATS, LAYOUTS, DTYPES)
    camera = ("nv12", "yuyv")
    plain = [row for row in rows if row[0] not in camera or row[1:] == ("nhwc", "uint8")]
    return [ImageInput(*row) for row in plain]


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("pixels", valid(), ids=lambda p: f"{p.form}-{p.layout}-{p.dtype}")
def test_every_format_layout_and_type_equals_the_reference(
    pixels: ImageInput, channels: int
) -> None:
    raw = arriving(pixels, *SIZE)
    (given,) = onnx_answers(through(pixels, channels), [raw])
    wanted = decode(raw, pixels, SIZE, channels).astype(np.float32)
    if pixels.dtype == "float32" and channels == 1 and pixels.form != "gray":
        assert_near([given], [wanted], 1e-6)  # weighted and not rounded
    else:
        np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("crop", [None, "center"])
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_resizes_as_the_reference(name: Any, resize: Any, crop: Any) -> None:
    pixels = ImageInput(format=name, resize=resize, crop=crop)
    changed = through(pixels)
    for height, width in ((30, 22), (8, 40)):
        raw = arriving(pixels, height, width)
        wanted = decode(raw, pixels, SIZE, 3).astype(np.float32)
        (given,) = onnx_answers(changed, [raw])
        if resize == "nearest":
            np.testing.assert_array_equal(given, wanted)
        else:
            assert_near([given], [wanted], 2e-6)


@pytest.mark.parametrize("u", [0, 90, 128, 255])
def test_nv12_equals_opencv(u: int) -> None:
    """All 65536 pairs of Y and V at one U, in ONNX Runtime."""
    x = keras.Input((512, 512, 3))
    model = convert_model(keras.Model(x, layers.ReLU(negative_slope=1.0)(x))).model
    pixels = ImageInput(format="nv12")
    changed = pipeline.run(model, simplify("none", 1, pixels)).model
    y, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    shared = np.stack([np.full_like(v, u), v], axis=-1).reshape(256, 512)
    raw = np.concatenate([y.repeat(2, axis=0).repeat(2, axis=1), shared])
    (given,) = onnx_answers(changed, [raw[None, :, :, None]])
    np.testing.assert_array_equal(given[0], cv2.cvtColor(raw, cv2.COLOR_YUV2RGB_NV12))


def test_nearest_equals_pillow_at_every_size() -> None:
    """The sizes include ties, at the edge between two pixels."""
    targets = (24, 20)
    x = keras.Input((*targets, 1))
    model = convert_model(keras.Model(x, layers.ReLU(negative_slope=1.0)(x))).model
    pixels = ImageInput(resize="nearest", dtype="float32")
    changed = pipeline.run(model, simplify("none", 1, pixels)).model
    for size in [*range(1, 200), 240, 480, 640, 720, 1080, 1920, 3840]:
        down = np.arange(size, dtype=np.float32)
        for raw in (down[:, None], down[None]):
            wanted = Image.fromarray(raw).resize(targets[::-1], Image.Resampling.NEAREST)
            (given,) = onnx_answers(changed, [raw[None, :, :, None]])
            np.testing.assert_array_equal(given[0, :, :, 0], np.asarray(wanted), err_msg=str(size))


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_bilinear_and_bicubic_equal_keras_at_many_sizes(resize: Any) -> None:
    changed = through(ImageInput(resize=resize))
    rng = np.random.default_rng(0)
    for height, width in [(1, 1), (2, 3), SIZE, (13, 17), (24, 32), (101, 97), (720, 31)]:
        raw = rng.integers(0, 256, (1, height, width, 3), np.uint8)
        wanted = keras.ops.image.resize(raw.astype("float32"), SIZE, interpolation=resize)
        assert_near(onnx_answers(changed, [raw]), [np.asarray(wanted)], 1e-6)


@pytest.mark.parametrize("mode", ["none", "tf", "caffe", "torch"])
@pytest.mark.parametrize("name", ["bgr", "bgra", "gray", "nv12"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_preprocessing_modes_follow_formats(name: Any, mode: str, padding: str) -> None:
    pixels = ImageInput(format=name, layout="nhwc")
    x = keras.Input((*SIZE, 3))
    model = randomise(keras.Model(x, layers.Conv2D(4, 3, padding=padding)(x)))
    passes = simplify(mode, None, pixels)
    changed = pipeline.run(convert_model(model).model, passes).model
    raw = arriving(pixels, *SIZE)
    wanted = keras_answers(model, [prepare(decode(raw, pixels, SIZE, 3), mode)])
    assert_near(onnx_answers(changed, [raw], optimise=True), wanted, 2e-5)
    if name in ("bgr", "bgra"):
        assert operators(changed)["Gather"] == 0
    if name == "gray" and (padding == "valid" or mode in ("none", "tf")):
        assert operators(changed)["Gather"] == 0


def test_nchw_images_need_no_transpose() -> None:
    changed = graph_of(layers.Conv2D(4, 3), ImageInput(layout="nchw", dtype="float32"), mode="tf")
    assert operators(changed) == {"Conv": 1, "Transpose": 1}  # the one after, to Keras' layout


def test_uint8_is_cast_after_nodes_that_move_it() -> None:
    changed = graph_of(layers.Conv2D(4, 3), ImageInput(format="bgra", resize="nearest"))
    (cast,) = [node for node in changed.graph if node.name == "image/Cast"]
    assert cast.inputs[0].dtype == ir.DataType.UINT8
    assert list(cast.inputs[0].shape)[1:] == [3, *SIZE]


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20])
@pytest.mark.parametrize(
    "pixels",
    [
        ImageInput(format="nv12", resize="bicubic", crop="center"),
        ImageInput(format="yuyv", resize="nearest", crop="center"),
        ImageInput(format="bgra", layout="nchw", resize="bilinear"),
    ],
    ids=lambda p: p.form,
)
def test_image_input_in_every_opset(pixels: ImageInput, opset: int) -> None:
    changed = pipeline.run(through(pixels), lower(opset)).model
    onnx.checker.check_model(ir.to_proto(changed), full_check=True)
    raw = arriving(pixels, 30, 22)
    wanted = decode(raw, pixels, SIZE, 3).astype(np.float32)
    assert_near(onnx_answers(changed, [raw], optimise=True), [wanted], 2e-6)


@pytest.mark.parametrize(
    ("pixels", "dims"),
    [
        (ImageInput(), ["batch", "height", "width", 3]),
        (ImageInput(format="bgra", layout="nchw"), ["batch", 4, "height", "width"]),
        (ImageInput(format="nv12"), ["batch", "rows", "width", 1]),
        (ImageInput(format="yuyv"), ["batch", "height", "width", 2]),
    ],
)
def test_open_axes_have_names(pixels: ImageInput, dims: list[Any]) -> None:
    pixels = ImageInput(pixels.format, pixels.layout, resize="nearest")
    (image,) = through(pixels).graph.inputs
    assert [dim if isinstance(dim, int) else dim.value for dim in image.shape or ()] == dims
