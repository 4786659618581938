"""Synthetic images with the statistics of photographs, for comparing two models.

Uniform noise excites a convolutional network unlike any camera image: it has no edges, no areas and
no dominant color. These images share the main properties of natural ones: amplitudes that fall as
1/f (D. J. Field, "Relations between the statistics of natural images and the response properties of
cortical cells", 1987), correlated color channels, objects that occlude one another, and values over
the whole range 0..255. The ranges of the random numbers below were chosen by experiment;
tests/source/test_synthetic_images.py measures the properties.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
UInt8Images = npt.NDArray[np.uint8]

FEWEST, MOST = 4, 8
"""Images on which two models are compared: as few and as many as `random_weights` needs."""

MOST_PIXELS = 600_000
"""Pixels of all images together, as long as they are not fewer than FEWEST: 8 of 224 x 224 are
401,408, and 4 of 600 x 600, the largest of an Application, are 1,440,000. It bounds the time that
Keras takes; chosen by experiment."""


def count_for(height: int, width: int) -> int:
    """Return the number of images of a size on which to compare two models: fewer large ones."""
    return max(FEWEST, min(MOST, MOST_PIXELS // (height * width)))


def draw_images(
    count: int, height: int, width: int, channels: int = 3, seed: int = 0
) -> UInt8Images:
    """Draw `count` different images, uint8 [count, height, width, channels], RGB 0..255.

    Image i only depends on `seed`, i and the shape: with a larger count the first ones stay equal.
    """
    drawn = np.empty((count, height, width, channels), np.uint8)
    for index in range(count):
        drawn[index] = _image(np.random.default_rng([seed, index]), height, width, channels)
    return drawn


def _image(rng: np.random.Generator, height: int, width: int, channels: int) -> UInt8Images:
    y, x = np.meshgrid(
        np.linspace(-1, 1, height), np.linspace(-1, 1, width) * width / height, indexing="ij"
    )
    textures = [_texture(rng, height, width) for _ in range(4)]
    canvas = _surface(rng, y, x, channels, textures)
    for _ in range(rng.integers(4, 11)):
        mask = _shape(rng, y, x)[:, :, None]
        canvas = canvas * (1 - mask) + _surface(rng, y, x, channels, textures) * mask
    low, high = np.percentile(canvas, (1, 99))
    stretched = np.clip((canvas - low) / max(high - low, 1e-6), 0, 1) ** rng.uniform(0.7, 1.5)
    grain = rng.normal(0, rng.uniform(0.5, 3), canvas.shape)
    pixels: UInt8Images = np.clip(np.rint(stretched * 255 + grain), 0, 255).astype(np.uint8)
    return pixels


def _surface(
    rng: np.random.Generator, y: Floats, x: Floats, channels: int, textures: list[Floats]
) -> Floats:
    """Draw a surface [H, W, C]: a color, a gradient of brightness, and a texture."""
    color = rng.uniform(0.1, 0.9) + rng.normal(0, 0.22, channels)
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.25) * (np.cos(angle) * x + np.sin(angle) * y)
    light = slope + rng.uniform(0.02, 0.18) * _moved(rng, textures)
    tint = rng.uniform(0, 0.06) * _moved(rng, textures)
    surface: Floats = color + light[:, :, None] + tint[:, :, None] * rng.normal(size=channels)
    return surface


def _moved(rng: np.random.Generator, textures: list[Floats]) -> Floats:
    """Pick a texture and roll it by a random distance; textures are periodic."""
    texture = textures[rng.integers(len(textures))]
    return np.roll(texture, rng.integers(texture.shape), axis=(0, 1))


def _texture(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Draw noise of amplitude 1/f^a, a about 1, stretched along an axis; mean 0, deviation 1."""
    fy = np.fft.fftfreq(height)[:, None] * rng.uniform(0.4, 2.5)
    fx = np.fft.rfftfreq(width)[None, :]
    frequency = np.maximum(np.hypot(fy, fx), 1 / max(height, width))
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0.8, 1.6)
    texture: Floats = np.fft.irfft2(spectrum, s=(height, width))
    texture -= texture.mean()
    return texture / max(float(texture.std()), 1e-12)


def _shape(rng: np.random.Generator, y: Floats, x: Floats) -> Floats:
    """Draw a rotated ellipse, box or half-plane as a mask 0..1 [H, W], its edge 2 pixels wide."""
    reach = float(np.abs(x).max())
    angle = rng.uniform(0, np.pi)
    centre_x, centre_y = rng.uniform(-reach, reach), rng.uniform(-1, 1)
    along = np.cos(angle) * (x - centre_x) + np.sin(angle) * (y - centre_y)
    across = np.cos(angle) * (y - centre_y) - np.sin(angle) * (x - centre_x)
    long, short = rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.5)
    kind = rng.integers(5)
    if kind == 0:
        outside = across
    elif kind <= 2:
        outside = np.maximum(np.abs(along) - long, np.abs(across) - short)
    else:
        outside = (np.hypot(along / long, across / short) - 1) * min(long, short)
    mask: Floats = np.clip(0.5 - outside * x.shape[0] / 4, 0, 1)
    return mask
