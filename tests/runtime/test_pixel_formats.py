"""Decoded images are converted to the pixel formats of cameras."""

import cv2
import numpy as np
import pytest

from kexport.runtime.pixel_formats import encode


def drawn(height: int = 12, width: int = 10) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 20, y * 17, 255 - x * 9], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("color", "code"),
    [
        ("BGR", cv2.COLOR_RGB2BGR),
        ("RGBA", cv2.COLOR_RGB2RGBA),
        ("BGRA", cv2.COLOR_RGB2BGRA),
    ],
)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channel_orders_equal_opencv(color: str, code: int, layout: str, dtype: str):
    found = encode(drawn(), color, layout, dtype)
    wanted = cv2.cvtColor(drawn(), code)
    np.testing.assert_array_equal(found, wanted.transpose(2, 0, 1) if layout == "NCHW" else wanted)
    assert found.dtype == dtype
    assert found.flags.c_contiguous


def test_images_in_the_models_format_are_not_copied():
    image = drawn()
    assert encode(image, "RGB", "NHWC", "uint8") is image


def test_luma_equals_opencv():
    image = drawn()
    wanted = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)[:12]
    np.testing.assert_array_equal(encode(image, "NV12", "NHWC", "uint8")[:12, :, 0], wanted)
    np.testing.assert_array_equal(encode(image, "YUYV", "NHWC", "uint8")[..., 0], wanted)


def test_chroma_of_equal_pixels_equals_opencv():
    image = drawn(6, 5).repeat(2, axis=0).repeat(2, axis=1)
    planar = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)[12:].reshape(2, 6, 5)
    nv12 = encode(image, "NV12", "NHWC", "uint8")
    assert nv12.shape == (18, 10, 1)
    np.testing.assert_array_equal(nv12[12:, :, 0].reshape(6, 5, 2), planar.transpose(1, 2, 0))
    yuyv = encode(image, "YUYV", "NHWC", "uint8")
    assert yuyv.shape == (12, 10, 2)
    shared = yuyv[::2, :, 1].reshape(6, 5, 2)
    np.testing.assert_array_equal(shared, planar.transpose(1, 2, 0))


def test_shared_chroma_is_that_of_the_mean_colour():
    image = np.array([[[0, 0, 0], [254, 254, 254]]] * 2, np.uint8)
    assert encode(image, "NV12", "NHWC", "uint8")[2:].ravel().tolist() == [128, 128]
    assert encode(image, "YUYV", "NHWC", "uint8")[0, :, 1].tolist() == [128, 128]
