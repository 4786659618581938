"""Resized photographs have the pixels of TensorFlow, Keras, Pillow and OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from kexport.runtime import resize as resizing
from kexport.runtime.manifest_schema import FITS, METHODS
from kexport.runtime.resize import Resize, resized, rounded

OF_TF, OF_PIL, OF_CV2 = (
    [name for name in METHODS if name.startswith(library)] for library in ("tf", "pil", "cv2")
)
SOURCES = ((213, 317), (101, 67), (128, 192), (7, 5), (1, 1))
TARGETS = ((96, 96), (64, 48), (32, 32), (100, 131), (300, 500), (1, 1), (3, 64))

LANCZOS = 2e-4
"""The largest difference of Lanczos' filter from TensorFlow, whose float32 sine is less exact."""


def photo(height: int, width: int) -> np.ndarray:
    """Return the upper left of a photograph, of the Summer Palace in Beijing."""
    return np.ascontiguousarray(load_sample_images().images[0][100:, 150:][:height, :width])


@pytest.fixture(scope="module")
def tf() -> Any:
    return pytest.importorskip("tensorflow")


def test_every_method_of_the_schema_is_there():
    assert tuple(resizing.METHODS) == METHODS


def pairs() -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [(source, target) for source in SOURCES for target in TARGETS]


@pytest.mark.parametrize("method", OF_TF)
def test_pixels_equal_tensorflow(tf: Any, method: str):
    _, _, name = method.partition("-")
    kernel, _, antialias = name.partition("-")
    for source, target in pairs():
        image = photo(*source)
        wanted = tf.image.resize(image, target, method=kernel, antialias=bool(antialias)).numpy()
        found = resized(image, target, Resize(method))
        limit = LANCZOS if "lanczos" in method else 0
        np.testing.assert_allclose(found, wanted, rtol=0, atol=limit, err_msg=f"{source} {target}")


@pytest.mark.parametrize("method", OF_PIL)
def test_pixels_equal_pillow(method: str):
    """These call Pillow; the C++ runtime is compared with them."""
    for source, target in pairs():
        image = photo(*source)
        chosen = getattr(Image.Resampling, method.partition("-")[2].upper())
        wanted = np.asarray(Image.fromarray(image).resize(target[::-1], chosen))
        np.testing.assert_array_equal(resized(image, target, Resize(method)), wanted)


@pytest.mark.parametrize("method", OF_CV2)
def test_pixels_equal_opencv_without_intels_library(method: str):
    """Intel's library, which some builds of OpenCV use, rounds cubic interpolation differently."""
    with_intels = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        off, count = 0, 0
        for source, target in pairs():
            image = photo(*source)
            chosen = getattr(cv2, f"INTER_{method.partition('-')[2].upper()}")
            wanted = cv2.resize(image, target[::-1], interpolation=chosen).astype(int)
            gap = np.abs(resized(image, target, Resize(method)).astype(int) - wanted)
            assert gap.max() <= (1 if method == "cv2-cubic" else 0), (source, target)
            off, count = off + int((gap > 0).sum()), count + gap.size
        assert off <= 1e-4 * count
    finally:
        cv2.ipp.setUseIPP(with_intels)


@pytest.mark.parametrize("method", ["cv2-nearest", "cv2-linear", "cv2-cubic", "cv2-area"])
def test_pixels_are_within_a_level_of_opencv_as_installed(method: str):
    for source, target in pairs():
        image = photo(*source)
        chosen = getattr(cv2, f"INTER_{method.partition('-')[2].upper()}")
        wanted = cv2.resize(image, target[::-1], interpolation=chosen).astype(int)
        assert np.abs(resized(image, target, Resize(method)).astype(int) - wanted).max() <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a training folder of PNGs of one class and of many sizes."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "class").mkdir()
    for number, (height, width) in enumerate([(213, 317), (317, 213), (97, 400), (50, 31)]):
        Image.fromarray(photo(height, width)).save(folder / "class" / f"{number}.png")
    return folder


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(96, 96), (61, 122), (224, 160)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "area", "lanczos3"])
def test_pixels_equal_those_that_keras_trains_on(
    folder: Path, method: str, size: tuple[int, int], fit: str
):
    keras = pytest.importorskip("keras")
    if (method, fit) == ("area", "crop"):
        pytest.skip("Keras does not crop for area")
    dataset = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        image_size=size,
        shuffle=False,
        batch_size=1,
        interpolation=method,
        crop_to_aspect_ratio=fit == "crop",
        pad_to_aspect_ratio=fit == "pad",
        verbose=False,
    )
    paths = sorted((folder / "class").iterdir())
    assert len(paths) == 4
    for path, wanted in zip(paths, dataset, strict=True):
        found = resized(np.asarray(Image.open(path)), size, Resize(f"tf-{method}", fit))
        limit = LANCZOS if method == "lanczos3" else 0
        np.testing.assert_allclose(found, wanted[0], rtol=0, atol=limit, err_msg=path.name)


@pytest.mark.parametrize("size", [(96, 96), (61, 122), (224, 160)])
@pytest.mark.parametrize("method", OF_PIL)
def test_a_crop_equals_load_img(folder: Path, method: str, size: tuple[int, int]):
    keras = pytest.importorskip("keras")
    for path in sorted((folder / "class").iterdir()):
        wanted = keras.utils.load_img(
            path,
            target_size=size,
            interpolation=method.partition("-")[2],
            keep_aspect_ratio=True,
        )
        found = resized(np.asarray(Image.open(path)), size, Resize(method, "crop"))
        np.testing.assert_array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("method", ["pil-bilinear", "cv2-linear", "tf-bilinear"])
def test_padding_is_black_and_around_the_whole_image(method: str):
    image = np.full((40, 80, 3), 200, np.uint8)
    found = rounded(resized(image, (60, 60), Resize(method, "pad")))
    assert np.unique(found[:15]).tolist() == np.unique(found[45:]).tolist() == [0]
    assert np.unique(found[15:45]).tolist() == [200]


def test_values_outside_the_range_are_cut_off_only_for_bytes():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    found = resized(image, (32, 32), Resize("tf-bicubic"))
    assert found.min() < 0
    assert found.max() > 255
    assert (rounded(found).min(), rounded(found).max()) == (0, 255)


@pytest.mark.parametrize("method", METHODS)
def test_an_image_of_the_right_size_is_unchanged(method: str):
    image = photo(24, 20)
    np.testing.assert_array_equal(resized(image, (24, 20), Resize(method)), image)


@pytest.mark.parametrize("method", METHODS)
def test_grey_images_are_resized_as_one_channel_of_colour(method: str):
    grey = photo(57, 83)[:, :, :1]
    found = resized(grey, (24, 31), Resize(method))
    of_three = resized(np.repeat(grey, 3, axis=2), (24, 31), Resize(method))
    assert found.shape == (24, 31, 1)
    np.testing.assert_array_equal(found, of_three[:, :, :1])
