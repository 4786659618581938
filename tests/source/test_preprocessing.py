"""The reference preprocessing equals OpenCV, Pillow and Keras, as docs/image-input.md says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input
from PIL import Image

from kexport.options.image_input import ImageInput
from kexport.options.preprocessing import Custom
from kexport.runtime.pixel_formats import encode
from kexport.source.preprocessing import decode, prepare, rgb_from_yuv
from kexport.source.synthetic_images import draw_images

Array = np.ndarray[Any, Any]
BYTES = np.arange(256, dtype=np.uint8)


OF_KERAS = {
    "tf": Custom(scale=(1 / 127.5,), mean=(1.0,)),
    "caffe": Custom(mean=(103.939, 116.779, 123.68), bgr=True),
    "torch": Custom((1 / 255,), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""The modes of `preprocess_input`, by the numbers in its documentation."""


@pytest.mark.parametrize("mode", OF_KERAS)
def test_numbers_do_what_the_modes_of_keras_do(mode: str) -> None:
    images = draw_images(2, 16, 16)
    wanted = preprocess_input(images.astype(np.float32), data_format="channels_last", mode=mode)
    np.testing.assert_allclose(prepare(images, OF_KERAS[mode]), wanted, rtol=1e-5, atol=1e-5)


def test_unit_is_what_keras_rescaling_does() -> None:
    images = draw_images(2, 16, 16)
    wanted = keras.layers.Rescaling(1 / 255)(images.astype(np.float32))
    np.testing.assert_allclose(prepare(images, "unit"), wanted, rtol=1e-6)
    grey = images[..., :1]
    np.testing.assert_array_equal(
        prepare(grey, Custom(scale=(1 / 255,))), grey * np.float32(1 / 255)
    )


def packed(name: str) -> tuple[ImageInput, int]:
    return ImageInput(format=name), {
        "nv12": cv2.COLOR_YUV2RGB_NV12,
        "yuyv": cv2.COLOR_YUV2RGB_YUYV,
    }[name]


@pytest.mark.parametrize("u", [0, 16, 77, 128, 200, 240, 255])
def test_yuv_equals_opencv_for_every_y_and_v(u: int) -> None:
    """65536 colours for each U; the 2^24 of all U were compared once and are equal too."""
    y, v = (np.ascontiguousarray(grid) for grid in np.meshgrid(BYTES, BYTES, indexing="ij"))
    shared = np.stack([np.full_like(v, u), v], axis=-1)
    wide = np.stack([y.repeat(2, axis=1), shared.reshape(256, 512)], axis=-1)
    wanted = cv2.cvtColor(wide, cv2.COLOR_YUV2RGB_YUYV)[:, ::2]
    np.testing.assert_array_equal(rgb_from_yuv(y, shared), wanted)


@pytest.mark.parametrize("name", ["nv12", "yuyv"])
def test_camera_formats_equal_opencv(name: str) -> None:
    pixels, code = packed(name)
    shape = pixels.shape(26, 34)
    raw = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    flat = raw[..., 0] if name == "nv12" else raw
    wanted = np.stack([cv2.cvtColor(np.ascontiguousarray(image), code) for image in flat])
    np.testing.assert_array_equal(decode(raw, pixels, (26, 34), 3), wanted)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("bgr", cv2.COLOR_BGR2RGB),
        ("rgba", cv2.COLOR_RGBA2RGB),
        ("bgra", cv2.COLOR_BGRA2RGB),
        ("gray", cv2.COLOR_GRAY2RGB),
    ],
)
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_channels_equal_opencv(name: str, code: int, layout: Any) -> None:
    pixels = ImageInput(format=name, layout=layout)
    stored = np.random.default_rng(0).integers(0, 256, (2, 9, 7, pixels.channels), np.uint8)
    raw = stored.transpose(0, 3, 1, 2) if layout == "nchw" else stored
    wanted = np.stack([cv2.cvtColor(image, code) for image in stored])
    np.testing.assert_array_equal(decode(raw, pixels, (9, 7), 3), wanted)


def test_gray_equals_pillow() -> None:
    drawn = draw_images(2, 24, 20)
    wanted = [np.asarray(Image.fromarray(image).convert("L"))[..., None] for image in drawn]
    np.testing.assert_array_equal(decode(drawn, ImageInput(format="rgb"), (24, 20), 1), wanted)
    floats = decode(
        drawn.astype(np.float32), ImageInput(format="rgb", dtype="float32"), (24, 20), 1
    )
    assert np.abs(floats - np.asarray(wanted, np.float32)).max() <= 0.501


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (10, 90), (24, 20), (7, 5)])
@pytest.mark.parametrize("crop", [None, "center"])
def test_nearest_equals_load_img(size: tuple[int, int], crop: Any, tmp_path: Path) -> None:
    (drawn,) = draw_images(1, *size)
    Image.fromarray(drawn).save(tmp_path / "image.png")
    loaded = keras.utils.load_img(
        tmp_path / "image.png", target_size=(24, 20), keep_aspect_ratio=crop is not None
    )
    found = decode(drawn[None], ImageInput(resize="nearest", crop=crop), (24, 20), 3)
    np.testing.assert_array_equal(found[0], keras.utils.img_to_array(loaded))


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_other_interpolations_equal_keras(how: Any) -> None:
    drawn = draw_images(2, 37, 53)
    wanted = keras.ops.image.resize(drawn.astype("float32"), (24, 20), interpolation=how)
    np.testing.assert_array_equal(decode(drawn, ImageInput(resize=how), (24, 20), 3), wanted)
    window = drawn[:, :, 11:41].astype("float32")  # 37 * 20 // 24 columns from the middle of 53
    wanted = keras.ops.image.resize(window, (24, 20), interpolation=how)
    cropped = decode(drawn, ImageInput(resize=how, crop="center"), (24, 20), 3)
    np.testing.assert_array_equal(cropped, wanted)


@pytest.mark.parametrize("name", ["nv12", "yuyv"])
def test_images_survive_being_encoded(name: str) -> None:
    """Areas of one colour come back to within what limited range can hold."""
    pixels = ImageInput(format=name)
    colours = np.random.default_rng(0).integers(0, 256, (200, 1, 1, 3), np.uint8)
    drawn = colours.repeat(2, axis=1).repeat(2, axis=2)
    raw = np.stack([encode(image, pixels.color, "NHWC", "uint8") for image in drawn])
    gap = np.abs(decode(raw, pixels, (2, 2), 3).astype(int) - drawn)
    assert gap.max() <= 2
