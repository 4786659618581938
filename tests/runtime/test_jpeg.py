"""JPEG files for the methods of TensorFlow have the pixels of `tf.io.decode_jpeg`."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kexport.runtime.image import pixels
from kexport.runtime.jpeg import tensorflow_pixels
from kexport.runtime.resize import Resize
from kexport.source.synthetic_images import draw_images

SIZES = ((61, 84), (48, 37), (1, 1), (2, 5), (5, 2), (3, 4), (17, 6))
SAMPLING = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
TF = Resize("tf-bilinear")


def written(path: Path, height: int, width: int, sampling: str, *options: int) -> Path:
    """Write a drawn image with noise, whose chroma differs from pixel to pixel."""
    image = draw_images(1, height, width, seed=3)[0].astype(int)
    image += np.random.default_rng(height * width).integers(-60, 60, image.shape)
    words = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling], *options]
    assert cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8), words)
    return path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_tensorflow(
    size: tuple[int, int], sampling: str, channels: int, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.jpg", *size, sampling)
    expected = tf.io.decode_jpeg(path.read_bytes(), channels=channels).numpy()
    color = "RGB" if channels == 3 else "GRAY"
    np.testing.assert_array_equal(pixels(path, (None, None), color, TF), expected)


def test_other_methods_keep_the_accurate_transform(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jpg", 61, 84, "420")
    accurate = np.asarray(Image.open(path))
    for method in ("pil-bilinear", "cv2-linear"):
        found = pixels(path, (None, None), "RGB", Resize(method))
        np.testing.assert_array_equal(found, accurate)
    assert (pixels(path, (None, None), "RGB", TF) != accurate).mean() > 0.1


@pytest.mark.parametrize("sampling", SAMPLING)
def test_progressive_files_too(sampling: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jpg", 70, 51, sampling, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    expected = tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy()
    np.testing.assert_array_equal(pixels(path, (None, None), "RGB", TF), expected)


@pytest.mark.parametrize("options", [{"keep_rgb": True}, {"quality": 30, "subsampling": 1}])
def test_files_of_pillow(options: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(draw_images(1, 45, 67, seed=1)[0]).save(path, **options)
    expected = tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy()
    np.testing.assert_array_equal(pixels(path, (None, None), "RGB", TF), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_files(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(draw_images(1, 45, 67, seed=1)[0][..., 1]).save(path)
    expected = tf.io.decode_jpeg(path.read_bytes(), channels=channels).numpy()
    found = pixels(path, (None, None), "RGB" if channels == 3 else "GRAY", TF)
    np.testing.assert_array_equal(found, expected)


def test_an_opened_image_is_left_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jpg", 40, 52, "420")
    accurate = np.asarray(Image.open(path))
    with Image.open(path) as image:
        fast = pixels(image, (None, None), "RGB", TF)
        np.testing.assert_array_equal(np.asarray(image), accurate)
        assert tensorflow_pixels(image, "RGB") is None, "it is decoded"
    np.testing.assert_array_equal(fast, pixels(path, (None, None), "RGB", TF))
    content = io.BytesIO(path.read_bytes())
    np.testing.assert_array_equal(pixels(Image.open(content), (None, None), "RGB", TF), fast)
