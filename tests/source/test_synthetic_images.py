"""Synthetic images: repeatable, varied, and with the statistics of natural ones."""

import numpy as np
import pytest

from kexport.source.synthetic_images import draw_images


def test_shape_and_type() -> None:
    drawn = draw_images(3, 40, 56, channels=1, seed=5)
    assert drawn.shape == (3, 40, 56, 1)
    assert drawn.dtype == np.uint8


def test_the_same_seed_draws_the_same_and_another_seed_does_not() -> None:
    first = draw_images(2, 32, 48, seed=1)
    assert np.array_equal(first, draw_images(2, 32, 48, seed=1))
    assert not np.array_equal(first, draw_images(2, 32, 48, seed=2))


def test_a_larger_count_keeps_the_first_images() -> None:
    assert np.array_equal(draw_images(5, 32, 32)[:2], draw_images(2, 32, 32))


def test_every_image_uses_the_whole_range() -> None:
    for image in draw_images(8, 96, 96):
        assert image.min() <= 5
        assert image.max() >= 250
        assert image.std() > 25


def test_images_differ_in_brightness_and_color() -> None:
    means = draw_images(16, 64, 64).mean(axis=(1, 2))
    assert means.mean(axis=1).std() > 10
    assert (means[:, 0] - means[:, 2]).std() > 10


def test_amplitude_falls_with_frequency_as_in_nature() -> None:
    grey = draw_images(8, 128, 128).mean(axis=-1)
    spectrum = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))).mean(axis=0)
    fx = np.fft.fftfreq(128)
    radius = np.hypot(fx[:, None], fx[None, :])
    octaves = [(radius >= low) & (radius < 2 * low) for low in (1 / 64, 1 / 32, 1 / 16, 1 / 8)]
    amplitude = [float(np.log2(spectrum[octave].mean())) for octave in octaves]
    slope = np.polyfit(range(4), amplitude, 1)[0]
    assert -1.7 < slope < -0.7


def test_neighbouring_pixels_and_channels_resemble_each_other() -> None:
    drawn = draw_images(8, 96, 96).astype(np.float64)
    neighbours = np.corrcoef(drawn[:, :, 1:].ravel(), drawn[:, :, :-1].ravel())[0, 1]
    red_green = np.corrcoef(drawn[..., 0].ravel(), drawn[..., 1].ravel())[0, 1]
    assert neighbours > 0.8
    assert 0.1 < red_green < 0.99


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 3), (8, 640), (33, 32)])
def test_any_size_can_be_drawn(height: int, width: int) -> None:
    assert draw_images(2, height, width, channels=1).shape == (2, height, width, 1)
