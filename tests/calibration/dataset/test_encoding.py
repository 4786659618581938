"""encode_images: decoded images in the input format of a graph."""

import numpy as np
import pytest

from kexport.calibration.dataset.encoding import encode_images
from kexport.options.image_input import ImageInput

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)


@pytest.mark.parametrize("pixels", [ImageInput(), ImageInput("rgb")])
def test_images_in_the_right_format_are_not_copied(pixels: ImageInput) -> None:
    assert encode_images(IMAGES, pixels) is IMAGES
    grey = IMAGES[..., :1]
    assert encode_images(grey, ImageInput()) is grey


def test_channels_and_axes_are_reordered() -> None:
    found = encode_images(IMAGES, ImageInput("bgr", "nchw", "float32"))
    assert found.dtype == np.float32
    assert np.array_equal(found, IMAGES[..., ::-1].transpose(0, 3, 1, 2))
